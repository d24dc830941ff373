"""What a test's producer sent, and the naive recount of it: plain Python over plain dictionaries, none of our code."""

import gzip
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHARGE = "message.charged"
TYPES = ("message.sent", "message.delivered", "message.failed", CHARGE)
CHANNELS = ("sms", "email", "whatsapp", "mms", "push.v2", "rcs-1")
ERRORS = ("carrier_rejected", "invalid_number", "E 42 ü", "x" * 64)
COSTS: Sequence[Any] = ("0", "0.1", "0.2", "1.25", "0.000001", "12", 0.5, 3, 1e-06, None)
PATTERNS = {"minute": "%Y-%m-%dT%H:%M:00Z", "hour": "%Y-%m-%dT%H:00:00Z", "day": "%Y-%m-%dT00:00:00Z"}
AMOUNTS: Sequence[Any] = (
    "0.25",
    "-0.1",
    "-1.25",
    "-0.000001",
    "12",
    -0.5,
    3,
    -2,
    "-0",
    "999999999999.999999",
    "-999999999999.999999",
)
METRICS = ("sent", "delivered", "failed", "cost_cents")
NUMBERS = (*METRICS, "charged")
"""What the tables have, and of that what the endpoint answers."""


@dataclass(frozen=True)
class Produced:
    """One record to send, and what is to become of it: ``reason`` is None for an event."""

    key: bytes | None
    value: bytes | None
    reason: str | None = None


def text_of(at: datetime, pick: random.Random) -> str:
    """One of the ways to write an instant."""
    offset = timedelta(minutes=pick.choice([0, 0, 0, 120, -330]))
    local = (at + offset).replace(tzinfo=None).isoformat(timespec="milliseconds")
    local += pick.choice(["", "", "", "9999"])  # digits that are cut, never rounded
    if not offset:
        return local + "Z"
    sign, minutes = "+" if offset > timedelta(0) else "-", abs(offset) // timedelta(minutes=1)
    return f"{local}{sign}{minutes // 60:02}:{minutes % 60:02}"


@dataclass
class Ledger:
    """Makes records from a seed and remembers what they must add up to."""

    seed: int
    orgs: int = 50
    events: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    dead: Counter[tuple[str, bytes | None]] = field(default_factory=Counter)
    _counted: dict[tuple[int, str, str | None], Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.number = 0

    def event(self, at: datetime, kind: str = "") -> dict[str, Any]:
        """A new valid event at an instant (cut to milliseconds), of a type or of any."""
        pick, self.number = self.random, self.number + 1
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        event: dict[str, Any] = {
            "event_id": f"{self.seed}-{self.number}",
            "type": kind or pick.choices(TYPES, (4, 2, 2, 1))[0],
            "org_id": f"org-{int(pick.triangular(0, self.orgs, 0))}",
            "channel": pick.choice(CHANNELS),
            "occurred_at": text_of(at, pick),
            "message_id": {"ignored": [1, None]},
        }
        if event["type"] == "message.failed" and pick.random() < 0.8:
            event["error_code"] = pick.choice(ERRORS)
        cost = pick.choice(AMOUNTS if event["type"] == CHARGE else COSTS)
        if cost != "0":
            event["cost_cents"] = cost
        return self._remembered(event, at)

    def under_the_same_id(self, event: dict[str, Any]) -> dict[str, Any]:
        """An event of another type with the id and the time of an event: another fact."""
        kind = self.random.choice([kind for kind in TYPES if kind != event["type"]])
        other = {name: value for name, value in event.items() if name not in ("error_code", "cost_cents")}
        other |= {"type": kind} | ({"cost_cents": self.random.choice(AMOUNTS)} if kind == CHARGE else {})
        return self._remembered(other, self.events[event["org_id"], event["event_id"], event["type"]]["at"])

    def _remembered(self, event: dict[str, Any], at: datetime) -> dict[str, Any]:
        self.events[event["org_id"], event["event_id"], event["type"]] = event | {"at": at}
        return event

    def produced(self, event: dict[str, Any]) -> Produced:
        """An event as a record: half of them keyed by organization, some with half of a surrogate pair to ignore."""
        key = event["org_id"].encode() if self.random.random() < 0.5 else None
        value = json.dumps(event, ensure_ascii=self.random.random() < 0.5).encode()
        half = rb"ignored \ud83d" if self.random.random() < 0.1 else b"ignored"
        return Produced(key, value.replace(b"ignored", half))

    def records(self, at: Iterator[datetime], now: datetime) -> Iterator[Produced]:
        """A record per instant, 2 % of them sent again later; between them 1 % broken ones, and 1 % of another type
        under the same id.
        """
        again: list[Produced] = []
        for instant in at:
            event = self.event(instant)
            record = self.produced(event)
            yield record
            if self.random.random() < 0.01:
                yield self.produced(self.under_the_same_id(event))
            if self.random.random() < 0.02:
                again.append(Produced(self.random.choice([record.key, None]), record.value))
            if self.random.random() < 0.01:
                yield self.broken(now)
            if again and self.random.random() < 0.02:
                yield again.pop(self.random.randrange(len(again)))
        yield from again

    def broken(self, now: datetime) -> Produced:
        """A record that breaks one rule of the contract."""
        reason, value = self.random.choice(broken_kinds(now))
        self.dead[reason, value] += 1
        return Produced(None, value, reason)

    def keep_only(self, org: str, event_ids: set[str]) -> None:
        """Of an organization only these events are to be counted."""
        self.events = {key: e for key, e in self.events.items() if key[0] != org or key[1] in event_ids}
        self._counted.clear()

    # -- the recount --------------------------------------------------------------------------------------------

    def expected(self, grain: str, group_by: str | None = None) -> dict[tuple[str, str], dict[str, Any]]:
        """(organization, bucket) to metric to number, or with ``group_by`` to metric to key to number."""
        asked = (len(self.events), grain, group_by)
        if asked not in self._counted:
            self._counted[asked] = self._expected(grain, group_by)
        return self._counted[asked]  # type: ignore[no-any-return]

    def _expected(self, grain: str, group_by: str | None) -> dict[tuple[str, str], dict[str, Any]]:
        result: dict[tuple[str, str], dict[str, Any]] = {}
        for event in self.events.values():
            bucket = result.setdefault(
                (event["org_id"], event["at"].strftime(PATTERNS[grain])),
                {number: defaultdict(Decimal) for number in NUMBERS},
            )
            key = event.get(group_by) if group_by else "all"
            bucket[event["type"].split(".")[1]][key] += 1
            bucket["cost_cents"][key] += _cost(event)
        if group_by:
            return {k: {m: {g: n for g, n in by.items() if n} for m, by in v.items()} for k, v in result.items()}
        return {k: {m: by["all"] for m, by in v.items()} for k, v in result.items()}


def _cost(event: dict[str, Any]) -> Decimal:
    cost = event.get("cost_cents")
    return Decimal(0) if cost is None else Decimal(cost if isinstance(cost, str) else repr(cost))


def broken_kinds(now: datetime) -> list[tuple[str, bytes | None]]:
    """Reason and value of a record for every way to break the contract."""
    good: dict[str, Any] = {"event_id": "b", "type": "message.sent", "org_id": "org-0", "channel": "sms"}
    good["occurred_at"] = now.strftime("%Y-%m-%dT%H:%M:%SZ")

    def bad(**changes: Any) -> bytes:
        return json.dumps({k: v for k, v in {**good, **changes}.items() if v != "absent"}).encode()

    def at(instant: datetime) -> str:
        return instant.strftime("%Y-%m-%dT%H:%M:%SZ")

    bad_costs: list[Any] = ["NaN", " 1", "1_0", "١", "-1", "1e3", "1.0000001", "1" * 13, -1, 1e12, True, []]
    fields: list[dict[str, Any]] = [
        *({name: "absent"} for name in good),
        *({name: 7} for name in good),
        *({name: ""} for name in good),
        {"event_id": "x" * 129},
        {"org_id": "x" * 65},
        {"type": "message.opened"},
        {"channel": "SMS"},
        {"channel": "x" * 33},
        {"channel": "sms\n"},
        {"channel": "__other__"},
        {"error_code": "only_when_failed"},
        {"type": "message.failed", "error_code": "__other__"},
        {"type": "message.failed", "error_code": ""},
        *(
            {"type": CHARGE, "cost_cents": cost}
            for cost in ("absent", None, "-1e3", "--1", "-", -1e12, "-1000000000000")
        ),
        {"type": CHARGE, "cost_cents": "1", "error_code": "only_when_failed"},
        *({"cost_cents": cost} for cost in bad_costs),
        *({"occurred_at": t} for t in ("2026-05-05", "2026-05-05T12:00:00", "2026-W19-2T12:00:00Z", "١٢", 1767225600)),
        {"occurred_at": "2026-02-30T12:00:00Z"},
        {"occurred_at": "2026-05-05T12:00:60Z"},
        {"occurred_at": "0001-01-01T00:00:00+23:59"},
        {"occurred_at": "2101-01-01T00:00:00Z"},
    ]
    return [
        ("empty", None),
        ("empty", b""),
        ("malformed_json", b'{"event_id": "a"'),
        ("malformed_json", b"not json"),
        ("malformed_json", b"\xef\xbb\xbf" + bad()),
        ("malformed_json", bad().decode().encode("utf-16")),
        ("malformed_json", gzip.compress(bad(), mtime=0)),
        ("malformed_json", bad().replace(b"org-0", b"\xff\xfe")),
        ("malformed_json", bad() + b"{}"),
        ("too_large", bad(message_id="x" * 65_536)),
        ("future_timestamp", bad(occurred_at=at(now + timedelta(hours=1)))),
        ("too_late", bad(occurred_at=at(now - timedelta(days=40)))),
        ("invalid_field", b"[]"),
        *(("invalid_field", bad(**change)) for change in fields),
    ]
