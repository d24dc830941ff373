"""The simulated topic: what producers publish over a minute and a half, and what must become of it."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pipeline.core.place import Place
from schemas.grain import Grain
from schemas.message_event import TYPE_CODES
from tests.sim.log import Record, milliseconds
from tests.support.fake_rows import Fact
from tests.support.places import P0, P1

START = datetime(2026, 5, 5, 23, 30, tzinfo=UTC)
WALL_SECONDS = 60
"""A virtual second is a minute of the wall clock: a minute of a world crosses an hour and a day."""
ORGS = "ab"
TYPES = ("message.sent", "message.delivered")
CHARGE_EVERY = 4


@dataclass
class Log:
    """Partitions that grow. None stands for what takes an offset and is no record: aborted ones, control batches.

    ``broken`` are the places of what is no event.
    """

    pick: random.Random
    partitions: dict[Place, list[Record | None]] = field(default_factory=lambda: {P0: [], P1: []})
    broken: set[tuple[Place, int, int]] = field(default_factory=set)
    stuck: set[Place] = field(default_factory=set)
    """Partitions that nobody can read for now: no leader, say, or a batch that is damaged until a better copy leads."""
    erased: set[str] = field(default_factory=set)
    """Organizations whose old events nobody sends any more."""
    _events: list[dict[str, Any]] = field(default_factory=list)
    _sent_ms: dict[Fact, int] = field(default_factory=dict)

    def publish(self, now_ms: int) -> None:
        """A producer sends something: mostly a new event, now and then one again, something broken or aborted."""
        place, luck = self.pick.choice(list(self.partitions)), self.pick.random()
        log = self.partitions[place]
        if luck < 0.06:
            self.broken.add((place, 0, len(log)))
            log.append(Record(len(log), now_ms, b"not json"))
        elif luck < 0.14:
            log.append(None)
        else:
            again = [event for event in self._events if event["org_id"] not in self.erased] if luck < 0.3 else []
            event = again[self.pick.randrange(len(again))] if again else self._new_event(now_ms)
            self._append(log, event, now_ms)

    def _new_event(self, now_ms: int) -> dict[str, Any]:
        """An event of this moment, or late by up to an hour."""
        ago = self.pick.choice([0, 0, 0, 1, 30, 3600])
        at = datetime.fromtimestamp(now_ms // 1000 - int(self.pick.random() * ago), UTC)
        event = {
            "event_id": f"e{len(self._events)}",
            "org_id": ORGS[self.pick.randrange(len(ORGS))],
            "type": TYPES[self.pick.randrange(len(TYPES))],
            "channel": "sms",
            "occurred_at": at.isoformat(),
        }
        if len(self._events) % CHARGE_EVERY == 0:
            event |= {"type": "message.charged", "cost_cents": "-1"}
        self._events.append(event)
        return event

    def _append(self, log: list[Record | None], event: dict[str, Any], now_ms: int) -> None:
        at_ms = milliseconds(datetime.fromisoformat(event["occurred_at"]))
        identity = (Grain.MINUTE.floor_ms(at_ms), event["org_id"], event["event_id"], TYPE_CODES[event["type"]])
        log.append(Record(len(log), now_ms, json.dumps(event).encode(), identity=identity))
        micros = int(event.get("cost_cents", 0)) * 1_000_000
        self._sent_ms[event["org_id"], event["event_id"], TYPE_CODES[event["type"]], "sms", "", micros, at_ms] = now_ms

    def truth(self, erasures: Mapping[str, int]) -> list[Fact]:
        """The facts that must be there in the end."""
        return [fact for fact, sent_ms in self._sent_ms.items() if sent_ms > erasures.get(fact[0], 0)]
