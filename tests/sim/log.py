"""The log of the simulated world, written before anything happens, and what must become of it."""

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipeline.core.place import Place
from schemas.grain import Grain
from schemas.message_event import TYPE_CODES
from tests.support.fake_rows import Fact, Identity, rank_of
from tests.support.places import P0, P1
from tests.support.places import place as place_of

START = datetime(2026, 5, 31, 22, 30, tzinfo=UTC)  # events cross an hour, a day and a month
STEP = timedelta(minutes=20)
STEPS = 9


@dataclass(frozen=True)
class Record:
    """A Kafka record of the simulated log."""

    offset: int
    timestamp: int
    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    identity: Identity | None = None
    """Of the fact that it becomes; None where it is broken."""


def milliseconds(instant: datetime) -> int:
    return int(instant.timestamp()) * 1000


@dataclass
class Log:
    """Two partitions. ``truth`` is the fact of each identity, ``broken`` the places of what is no event."""

    random: random.Random
    partitions: dict[Place, list[Record]] = field(default_factory=lambda: {P0: [], P1: []})
    truth: dict[Identity, Fact] = field(default_factory=dict)
    broken: set[tuple[Place, int, int]] = field(default_factory=set)

    def write(self) -> None:
        """A few events per partition; some twice, some twice with other content, some in both partitions, and some
        under the id of an event of another type.
        """
        pick = self.random
        for place in self.partitions:
            for number in range(pick.randint(2, 4)):
                event = self._event(f"e{place.number}{number}", pick.randrange(STEPS))
                self._append(place, event)
                if pick.random() < 0.4:
                    other = event | {"cost_cents": str(pick.randrange(9))} if pick.random() < 0.5 else event
                    self._append(place_of(pick.randrange(2)), other)
                if pick.random() < 0.2:
                    self._append_broken(place)
                if pick.random() < 0.2:
                    self._append(place, event | {"type": "message.failed"})

    def charge(self) -> None:
        """A price, or a credit, of some event's time, in either partition."""
        pick = self.random
        for number in range(pick.randint(1, 3)):
            price = {"type": "message.charged", "cost_cents": str(pick.randint(-9, 9))}
            self._append(place_of(pick.randrange(2)), self._event(f"c{number}", pick.randrange(STEPS)) | price)

    def _append_broken(self, place: Place) -> None:
        log = self.partitions[place]
        self.broken.add((place, 0, len(log)))
        log.append(Record(len(log), milliseconds(START), b"not json"))

    def _event(self, event_id: str, step: int) -> dict[str, Any]:
        at = START + STEP * step + timedelta(seconds=self.random.randrange(60))
        kind = self.random.choice(["message.sent", "message.delivered"])
        org = self.random.choice("ab")
        return {"event_id": event_id, "org_id": org, "type": kind, "channel": "sms", "occurred_at": at.isoformat()}

    def _append(self, place: Place, event: dict[str, Any]) -> None:
        log, at = self.partitions[place], datetime.fromisoformat(event["occurred_at"])
        identity = (
            Grain.MINUTE.floor_ms(milliseconds(at)),
            event["org_id"],
            event["event_id"],
            TYPE_CODES[event["type"]],
        )
        log.append(Record(len(log), milliseconds(at), json.dumps(event).encode(), identity=identity))
        cost = int(event.get("cost_cents", "0")) * 1_000_000
        fact = (event["org_id"], event["event_id"], identity[3], "sms", "", cost, milliseconds(at))
        self.truth[identity] = max(self.truth.get(identity, fact), fact, key=rank_of)
