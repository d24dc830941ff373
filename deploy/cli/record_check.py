"""Verdicts on the records of a file, by the worker's own code; and events that share an identity."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b
from struct import Struct

import msgspec

from deploy.cli.counted import counted, minute_of, plain_number
from deploy.cli.record_lines import BrokenLine, LineRecord, record_of
from pipeline.core.decode import decode_batch
from pipeline.core.envelope.frames import Reader, Readers, SchemaKey, keys_needed
from pipeline.core.place import Place
from pipeline.core.records import Columns, DeadLetter
from pipeline.core.watermark import retention_floor
from schemas.grain import MS_PER_SECOND
from schemas.instant import rfc3339
from schemas.message_event import MICROS_PER_CENT, TYPES, DeadLetterReason
from schemas.settings import PREFIX, Settings

_PLACE = Place("", 0)
_DIGEST_BYTES, _CONTENT_BYTES = 16, 8
_FIRST = Struct(f">QQ{_CONTENT_BYTES}s")

AskFor = Callable[[SchemaKey], Reader]
"""Asks for the reader of a schema."""


class Asked:
    """The readers that records need, each schema of which is asked for once."""

    def __init__(self, ask: AskFor | None) -> None:
        self._ask, self._known = ask, dict[SchemaKey, Reader]()

    def readers_for(self, record: LineRecord) -> Readers | None:
        """The readers for one record; None where there is no registry, so that a frame is a dead letter."""
        if self._ask is None:
            return None
        for _, key in keys_needed([record]):
            if key not in self._known:
                self._known[key] = self._ask(key)
        return self._known


class Outcome(StrEnum):
    """Outcomes of a line, by their names in JSON."""

    FACT = "fact"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    DEAD_LETTER = "dead_letter"
    BROKEN_LINE = "broken_line"

    @property
    def is_fine(self) -> bool:
        return self in (Outcome.FACT, Outcome.DUPLICATE)


_SAID = {
    Outcome.DUPLICATE: "duplicate",
    Outcome.CONFLICT: "conflict",
    Outcome.DEAD_LETTER: "dead letter",
    Outcome.BROKEN_LINE: "broken line",
}
"""The outcome at the beginning of a report's line. The sentence on a fact says it itself."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A record that is counted."""

    line: int
    org_id: str
    event_id: str
    type: str
    channel: str
    error_code: str
    cost_micros: int
    occurred_ms: int

    @property
    def minute(self) -> str:
        return minute_of(self.occurred_ms)

    @property
    def cost_cents(self) -> str:
        return plain_number(Decimal(self.cost_micros) / MICROS_PER_CENT)

    @property
    def sentence(self) -> str:
        error = f", error {self.error_code}" if self.error_code else ""
        about = f"event {self.event_id} of {self.org_id}, channel {self.channel}{error}, {self.cost_cents} cents"
        return f"{counted(self.type, self.occurred_ms)}; {about}"

    def as_json(self) -> dict[str, object]:
        """The fields of the event."""
        return {
            "org_id": self.org_id,
            "event_id": self.event_id,
            "type": self.type,
            "channel": self.channel,
            "error_code": self.error_code or None,
            "cost_cents": self.cost_cents,
            "occurred_at": rfc3339(self.occurred_ms),
            "minute": self.minute,
        }


_UNKNOWN = dict.fromkeys(Fact(0, "", "", "", "", "", 0, 0).as_json())


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a line: a fact, a dead letter, or neither. ``problem`` is '' where the fact says it all."""

    line: int
    outcome: Outcome
    problem: str = ""
    fact: Fact | None = None
    letter: DeadLetter | None = None
    first_line: int | None = None
    """The line that had this event's identity first, where it is another one."""

    @property
    def reason(self) -> DeadLetterReason | None:
        return None if self.letter is None else self.letter.reason

    @property
    def sentence(self) -> str:
        return self.fact.sentence if self.fact is not None and not self.problem else self.problem

    def __str__(self) -> str:
        """The line of a report."""
        words = [f"line {self.line}", _SAID.get(self.outcome), self.reason, self.sentence]
        return ": ".join(word for word in words if word)

    def as_json(self) -> dict[str, object]:
        """The same as a document, in which everything that cannot be told is null."""
        told = {} if self.fact is None else self.fact.as_json()
        told |= {} if self.letter is None else _told_of(self.letter)
        return {
            "line": self.line,
            "outcome": self.outcome,
            "reason": self.reason,
            "sentence": self.sentence,
            **_UNKNOWN,
            **told,
            "first_line": self.first_line,
        }


def _told_of(letter: DeadLetter) -> dict[str, object]:
    return {
        "org_id": letter.org_id or None,
        "event_id": letter.event_id or None,
        "type": letter.type or None,
        "occurred_at": rfc3339(letter.occurred_ms or 0),
    }


class Judge:
    """Says of each line what a worker with these settings would make of it, read at the time that the clock tells."""

    def __init__(self, settings: Settings, clock: Callable[[], int], ask: AskFor | None) -> None:
        self._clock, self._asked = clock, Asked(ask)
        self._skew_ms = int(settings.future_skew_seconds * MS_PER_SECOND)
        self._days = settings.facts_retention_days
        self._identities = Identities()

    def verdicts(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Verdict]:
        """The verdicts on numbered lines, in their order."""
        for number, line in lines:
            try:
                yield self._verdict(record_of(number, line))
            except BrokenLine as broken:
                yield Verdict(number, Outcome.BROKEN_LINE, str(broken))

    @property
    def in_time(self) -> str:
        """The sentence on the events that are in time, if their record has none of its own."""
        now_ms = self._clock()
        earliest, latest = (rfc3339(t) for t in (retention_floor(now_ms, self._days), now_ms + self._skew_ms))
        settings = f"{PREFIX}FACTS_RETENTION_DAYS, {PREFIX}FUTURE_SKEW_SECONDS"
        return f"read at {rfc3339(now_ms)}, events from {earliest} to {latest} are in time ({settings})"

    def _verdict(self, record: LineRecord) -> Verdict:
        now_ms, rows = self._clock(), Columns()
        floor_ms, readers = retention_floor(now_ms, self._days), self._asked.readers_for(record)
        decoded = decode_batch(_PLACE, [record], now_ms, self._skew_ms, floor_ms, rows, readers)
        if decoded.letters:
            letter = decoded.letters[0]
            return Verdict(record.offset, Outcome.DEAD_LETTER, letter.detail, letter=letter)
        return self._identities.verdict(_fact(rows))


def _fact(rows: Columns) -> Fact:
    return Fact(
        rows.offset[0], rows.org_id[0], rows.event_id[0], TYPES[rows.type[0] - 1],
        rows.channel[0], rows.error_code[0], rows.cost_micros[0], rows.occurred_ms[0],
    )  # fmt: skip


class Identities:
    """The line at which each identity was met first, and a hash of its content there.

    An identity is an organization, a type and an event's id. It takes some 160 bytes of memory, so that a file of a
    million events takes 160 MB.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, bytes] = {}

    def verdict(self, fact: Fact) -> Verdict:
        """The verdict on a fact, by those of its identity that came before it."""
        content = _hash((fact.channel, fact.error_code, fact.cost_micros, fact.occurred_ms), _CONTENT_BYTES)
        own = _FIRST.pack(fact.line, fact.occurred_ms, content)
        known = self._first.setdefault(_hash((fact.org_id, fact.type, fact.event_id), _DIGEST_BYTES), own)
        if known is own:
            return Verdict(fact.line, Outcome.FACT, fact=fact)
        line, occurred_ms, first_content = _FIRST.unpack(known)
        if first_content == content:
            sentence = f"it counts once, since line {line} is the same event"
            return Verdict(fact.line, Outcome.DUPLICATE, sentence, fact, first_line=line)
        problem = _conflict(fact, line, minute_of(occurred_ms))
        return Verdict(fact.line, Outcome.CONFLICT, problem, fact, first_line=line)


def _hash(content: object, size: int) -> bytes:
    return blake2b(msgspec.json.encode(content), digest_size=size).digest()


def _conflict(fact: Fact, line: int, minute: str) -> str:
    about = f"{fact.type} {fact.event_id} of {fact.org_id} has other content than on line {line}"
    if fact.minute == minute:
        return f"{about}, in the same minute: one of the two is counted, and you cannot choose which"
    return f"{about}, and is in minute {fact.minute}, not {minute}: both are counted"
