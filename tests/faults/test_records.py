"""Odd records and clocks, each sent once on purpose: what becomes of every one, exactly."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.faults.load import CODECS
from tests.support.ledger import Ledger, Produced, broken_kinds
from tests.support.recount import check_everything
from tests.support.system import System, require_kafka, wait_until

LARGEST = 64 * 1024
LATENESS_SECONDS = 2
AHEAD = 300


def padded(ledger: Ledger, at: datetime, size: int) -> bytes:
    """An event whose record has exactly this many bytes."""
    event = ledger.event(at)
    bare = len(json.dumps(event | {"padding": ""}).encode())
    return json.dumps(event | {"padding": "x" * (size - bare)}).encode()


def test_every_odd_record_and_clock_comes_out_as_the_contract_says(tmp_path: Path) -> None:
    require_kafka()
    with System(tmp_path, partitions=2, lateness_seconds=str(LATENESS_SECONDS)) as system:
        worker = system.start_worker("worker")
        ledger, began = Ledger(seed=21, orgs=5), datetime.now(UTC)
        for codec in CODECS:
            events = [ledger.produced(ledger.event(began - timedelta(seconds=n))) for n in range(100)]
            system.produce(events, **{"compression.type": codec})
        check_everything(system, ledger, began)

        now = datetime.now(UTC)
        odd = [Produced(None, value, reason) for reason, value in broken_kinds(now)]
        odd.append(Produced(None, padded(Ledger(seed=22), now, LARGEST + 1), "too_large"))
        odd += [Produced(b"key", None, "empty")] * 3  # tombstones
        ahead = now + timedelta(hours=1)
        odd += [Produced(None, _event(n, ahead), "future_timestamp") for n in range(AHEAD)]
        for record in odd:
            ledger.dead[str(record.reason), record.value] += 1
        largest = Produced(None, padded(ledger, now, LARGEST))
        day_behind = [ledger.produced(ledger.event(now - timedelta(days=1, minutes=n))) for n in range(50)]
        system.produce([*odd, largest, *day_behind])

        highest = Highest(system)
        wait_until("the dead letters", lambda: highest.look() and highest.letters >= len(odd), 60)
        check_everything(system, ledger, datetime.now(UTC))
        highest.look()
        assert highest.beyond_the_clock_ms <= 0, "a clock that is ahead moved a watermark"
        assert worker.end() == 0


def _event(number: int, at: datetime) -> bytes:
    event: dict[str, Any] = {"event_id": f"ahead-{number}", "type": "message.sent", "org_id": "org-0", "channel": "sms"}
    return json.dumps(event | {"occurred_at": at.isoformat()}).encode()


class Highest:
    """How far any watermark was ever seen beyond the clock less the lateness."""

    QUERY = """
        SELECT toUnixTimestamp64Milli(greatest((SELECT max(as_of) FROM watermark), (SELECT max(closing) FROM watermark),
                                               (SELECT max(watermark) FROM partition_watermarks))),
               toUnixTimestamp64Milli(now64(3)),
               (SELECT count() FROM dead_letters FINAL)
    """

    def __init__(self, system: System) -> None:
        self._system, self.letters, self.beyond_the_clock_ms = system, 0, -LATENESS_SECONDS * 1000

    def look(self) -> bool:
        ((mark, now, self.letters),) = self._system.query(self.QUERY)
        self.beyond_the_clock_ms = max(self.beyond_the_clock_ms, mark + LATENESS_SECONDS * 1000 - now)
        return True
