"""What the headers of a request ask for: media type and validators. Pure."""

from collections.abc import Iterator

from api.render import CSV, JSON, NDJSON


def media_type(accept: str) -> str:
    """The best of JSON, CSV and NDJSON for an Accept header; anything else gets JSON."""
    wanted = sorted(_ranges(accept), key=lambda range_: -range_[1])
    for name, quality in wanted:
        if quality > 0 and name in (JSON, CSV, NDJSON):
            return name
        if quality > 0 and name in ("*/*", "application/*"):
            return JSON
        if quality > 0 and name == "text/*":
            return CSV
    return JSON


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        yield name, quality


def is_not_modified(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has this answer already. Comparison is weak: W/ does not count."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags
