"""Dead letters: listed, shown with their bytes, exported, and sent back to the topic."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec

from deploy.errors import Refused, Usage
from pipeline.clickhouse.store import Store
from schemas.instant import rfc3339
from schemas.message_event import DeadLetterReason

REDRIVEN_HEADER = "msgmetrics-redriven"
"""Says of a record that it was sent back, and from where: topic/partition/offset."""
MAX_MS = 4_102_444_800_000  # the end of the years an event may lie in
SHOWN_BYTES = 4096


@cache
def sql(name: str) -> str:
    """The statement in ``deploy/cli/sql/NAME.sql``."""
    return (files("deploy.cli") / "sql" / f"{name}.sql").read_text()


@dataclass(frozen=True, slots=True)
class Letter:
    """A stored dead letter. Instants are epoch milliseconds, 0 for none."""

    partition: int
    offset: int
    reason: str
    detail: str
    org_id: str
    event_id: str
    occurred_ms: int
    record_ms: int
    seen_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    redrives: int
    is_resolved: bool

    @property
    def was_redriven(self) -> bool:
        """Whether this record is itself one that was sent back."""
        return any(name == REDRIVEN_HEADER for name, _ in self.headers)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which dead letters: of a reason, an organization, a span of record time; empty is any."""

    reason: str = ""
    org: str = ""
    from_ms: int = 0
    to_ms: int = MAX_MS

    def parameters(self, store: Store) -> dict[str, Any]:
        return {
            "topic": store.topic,
            "cluster_id": store.cluster_id,
            "org": self.org,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
        }


def check_reason(reason: str) -> str:
    """One of the reason codes, or ''. Raises Usage."""
    if reason and reason not in set(DeadLetterReason):
        raise Usage(f"--reason must be one of {', '.join(DeadLetterReason)}, not {reason!r}")
    return reason


def _letter(row: Sequence[Any]) -> Letter:
    partition, offset, reason, detail, org, event, occurred, record, seen, key, has_key, value, has_value = row[:13]
    headers, redrives, is_resolved = zip(*row[13:16], strict=True), *row[16:]
    return Letter(
        int(partition), int(offset), reason, detail, org, event, int(occurred), int(record), int(seen),
        base64.b64decode(key) if has_key else None,
        base64.b64decode(value) if has_value else None,
        tuple((name, None if is_null else base64.b64decode(text)) for name, text, is_null in headers),
        int(redrives), bool(is_resolved),
    )  # fmt: skip


def read_letters(
    store: Store, wanted: Filter, *, limit: int = MAX_MS, place: tuple[int, int] = (-1, -1)
) -> Iterator[Letter]:
    """The letters of a filter, oldest first, in constant memory; or the one at a (partition, offset)."""
    parameters = wanted.parameters(store) | {
        "reason": wanted.reason,
        "limit": limit,
        "partition": place[0],
        "offset": place[1],
    }
    yield from map(_letter, store.stream("reading dead letters", sql("dead_letters"), **parameters))


def counts(store: Store, wanted: Filter) -> list[tuple[str, int, int]]:
    """(reason, letters, of them sent back), whatever reason the filter names."""
    rows = store.rows("counting dead letters", sql("dead_letter_counts"), **wanted.parameters(store))
    return [(reason, int(letters), int(redriven)) for reason, letters, redriven in rows]


def parse_place(text: str, topic: str) -> tuple[int, int]:
    """(partition, offset) of an id like topic/partition/offset. Raises Usage."""
    named, *place = text.rsplit("/", 2)
    if len(place) != 2 or named != topic or not all(part.isascii() and part.isdigit() for part in place):
        raise Usage(f"a dead letter's id is topic/partition/offset, like {topic}/0/1234; not {text!r}")
    return int(place[0]), int(place[1])


# -- for people -----------------------------------------------------------------------------------------------------


def listing(store: Store, wanted: Filter, limit: int) -> str:
    """Counts by reason, and the first letters."""
    by_reason = counts(store, wanted)
    letters = list(read_letters(store, wanted, limit=limit))
    if not by_reason:
        return "no dead letters"
    lines = [f"{number:>8} {reason}" + (f", {sent} sent back" if sent else "") for reason, number, sent in by_reason]
    lines += ["", f"{'id':<32} {'reason':<17} {'organization':<16} {'record time':<24} why"]
    lines += [
        f"{letter_id(store.topic, x):<32} {x.reason:<17} {x.org_id[:16]:<16} {rfc3339(x.record_ms) or '':<24} "
        f"{x.detail}{_state(x)}"
        for x in letters
    ]
    return "\n".join(lines)


def letter_id(topic: str, letter: Letter) -> str:
    return f"{topic}/{letter.partition}/{letter.offset}"


def _state(letter: Letter) -> str:
    words = ["its event is counted by now"] if letter.is_resolved else []
    words += [f"sent back {letter.redrives} times" if letter.redrives > 1 else "sent back"] if letter.redrives else []
    words += ["is itself a record that was sent back"] if letter.was_redriven else []
    return f" [{'; '.join(words)}]" if words else ""


def describe(store: Store, place: tuple[int, int]) -> str:
    """Everything about one letter, its bytes included. Raises Refused where there is none."""
    letter = next(read_letters(store, Filter(), limit=1, place=place), None)
    if letter is None:
        raise Refused(
            f"no dead letter is at {store.topic}/{place[0]}/{place[1]}; `msgmetrics dead-letters list` shows which are"
        )
    facts = {
        "id": letter_id(store.topic, letter),
        "reason": letter.reason,
        "why": letter.detail,
        "organization": letter.org_id or "cannot be told",
        "event": letter.event_id or "cannot be told",
        "occurred at": rfc3339(letter.occurred_ms) or "cannot be told",
        "record time": rfc3339(letter.record_ms) or "none",
        "seen at": rfc3339(letter.seen_ms) or "",
        "state": _state(letter).strip(" []") or "waits",
        "key": _readable(letter.key),
        "headers": ", ".join(f"{name}={_readable(value)}" for name, value in letter.headers) or "none",
    }
    size = "no value" if letter.value is None else f"value, {len(letter.value)} bytes:"
    lines = [f"{name:<13} {text}" for name, text in facts.items()]
    return "\n".join([*lines, "", size, _readable(letter.value) if letter.value is not None else ""]).rstrip()


def _readable(value: bytes | None) -> str:
    """Bytes as a person can read them; what is no text, and control characters, are escaped."""
    if value is None:
        return "none"
    text = value[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return shown + (f" … and {len(value) - SHOWN_BYTES} bytes more" if len(value) > SHOWN_BYTES else "")


def as_line(topic: str, letter: Letter) -> bytes:
    """A letter as a line of NDJSON; bytes are base64, null where there were none."""

    def text(value: bytes | None) -> str | None:
        return None if value is None else base64.b64encode(value).decode()

    document = {
        "id": letter_id(topic, letter),
        "topic": topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": letter.reason,
        "detail": letter.detail,
        "org_id": letter.org_id or None,
        "event_id": letter.event_id or None,
        "occurred_at": rfc3339(letter.occurred_ms),
        "record_at": rfc3339(letter.record_ms),
        "seen_at": rfc3339(letter.seen_ms),
        "key_base64": text(letter.key),
        "value_base64": text(letter.value),
        "headers": [{"name": name, "value_base64": text(value)} for name, value in letter.headers],
        "redrives": letter.redrives,
        "resolved": letter.is_resolved,
    }
    return msgspec.json.encode(document)
