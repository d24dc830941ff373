"""Content negotiation: media type, compression and validators, from the headers of a request. Pure."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar

JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
REMEMBERED_HEADERS, REMEMBERED_CHARACTERS = 256, 512
"""Clients are of few kinds, and send the same with every request: so many headers, none longer, are parsed once."""

T = TypeVar("T")


def _remembering(read: Callable[[str], T]) -> Callable[[str], T]:
    """Memoise for short headers only, so that a client cannot grow the cache."""
    remembered = lru_cache(REMEMBERED_HEADERS)(read)
    return lambda header: remembered(header) if len(header) <= REMEMBERED_CHARACTERS else read(header)


@_remembering
def media_type(accept: str) -> str:
    """The best of JSON, CSV and NDJSON for an Accept header; anything else gets JSON."""
    wanted = sorted(_ranges(accept), key=lambda range_: -range_[1])
    for name, quality in wanted:
        if quality > 0 and name in (JSON, CSV, NDJSON):
            return name
        if quality > 0 and name in ("*/*", "application/*"):
            return JSON
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


@_remembering
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a client with this Accept-Encoding can unpack gzip."""
    return any(name == "gzip" and quality > 0 for name, quality in _ranges(accept_encoding))


def is_not_modified(if_none_match: str | None, etag: str) -> bool:
    """Whether the client has this answer already. Comparison is weak: W/ does not count."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag.removeprefix("W/") in tags
