"""The events that benchmarks send: about 214 bytes of JSON, keyed by organization, 50 organizations."""

import json
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tests.support.ledger import Produced
from tests.support.system import System

ORGANIZATIONS = 50
HOW: dict[str, object] = {"compression.type": "lz4", "linger.ms": 50}


def events(count: int, span: timedelta, *, shuffled: bool = False, seed: int = 1) -> Iterator[Produced]:
    """Events of the time up to now, evenly, in order or in none."""
    pick, now = random.Random(seed), datetime.now(UTC)
    places = list(range(count))
    if shuffled:
        pick.shuffle(places)
    for place in places:
        at = now - span * (1 - place / count)
        org = f"org-{pick.randrange(ORGANIZATIONS)}"
        event = {
            "event_id": str(uuid.UUID(int=pick.getrandbits(128))),
            "type": pick.choice(["message.sent", "message.delivered"]),
            "org_id": org,
            "channel": pick.choice(["sms", "email", "whatsapp"]),
            "cost_cents": pick.choice(["0.75", "0.02", "1.2"]),
            "occurred_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        yield Produced(org.encode(), json.dumps(event).encode())


def send(system: System, count: int, span: timedelta, *, shuffled: bool = False, seed: int = 1) -> None:
    """Send them, and wait until all are in the log."""
    system.produce(events(count, span, shuffled=shuffled, seed=seed), **HOW)
