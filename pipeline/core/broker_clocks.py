"""The clocks of brokers that stamp records themselves (LogAppendTime), held against this machine's.

A record that comes where there was none a moment ago was appended in between, and so must its stamp be::

    asked: nothing at this offset           answered: a batch at this offset
      ├────────── appended in here ────────────┤

Of a record from further back the stamp tells nothing: nobody knows when it was appended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.core.clocks import Moment, clock_skew_ms
from pipeline.core.place import Place
from pipeline.core.records import time_of
from schemas.grain import MS_PER_SECOND
from schemas.instant import rfc3339

MOST_OFF_MS = 60_000
"""Less is no sign of a wrong clock: a record is stamped before its replicas have it, and handed out afterwards."""
SHOWN_MS = 60_000
"""A wrong stamp is told of for so long."""


@dataclass(frozen=True, slots=True)
class _Nothing:
    """A broker had nothing from an offset on, at some moment after it was asked."""

    broker: int
    position: int
    asked_boot_ms: int


@dataclass(frozen=True, slots=True)
class _Wrong:
    """A stamp that cannot be right, and by how much at the least (positive: behind)."""

    stamped_ms: int
    behind_ms: int
    seen: Moment


@dataclass(slots=True)
class BrokerClocks:
    """Stamps of records, by partition and broker. Told by the thread that fetches; any thread may ask."""

    _nothing: dict[Place, _Nothing] = field(default_factory=dict)
    _wrong: Mapping[int, _Wrong] = field(default_factory=dict)
    """The newest wrong stamp of each broker. Replaced as a whole, since others look at it."""

    def had_nothing(self, broker: int, place: Place, position: int, asked_boot_ms: int) -> None:
        """The log of a partition ended at a position, by its leader, when that was asked or later."""
        self._nothing[place] = _Nothing(broker, position, asked_boot_ms)

    def appended(self, broker: int, place: Place, position: int, stamped_ms: int | None, now: Moment | None) -> None:
        """A leader has a batch at a position, stamped by itself (None: by its producer).

        ``now`` is None while this machine's clock is in doubt: then the stamp tells nothing. Nor does one that is no
        time: no checksum was looked at yet.
        """
        before, stamped_ms = self._nothing.pop(place, None), time_of(stamped_ms, 0)
        if before is None or (before.broker, before.position) != (broker, position) or not (stamped_ms and now):
            return
        behind_ms = clock_skew_ms(now.at(before.asked_boot_ms).wall_ms, stamped_ms, now.wall_ms)
        others = {name: wrong for name, wrong in self._wrong.items() if name != broker}
        is_wrong = abs(behind_ms) > MOST_OFF_MS
        self._wrong = {**others, broker: _Wrong(stamped_ms, behind_ms, now)} if is_wrong else others

    def sentences(self, now_boot_ms: int) -> list[str]:
        """A reason for each broker whose stamps were wrong within the last minute."""
        shown = (item for item in sorted(self._wrong.items()) if now_boot_ms - item[1].seen.boot_ms <= SHOWN_MS)
        return [_sentence(broker, wrong) for broker, wrong in shown]


def _sentence(broker: int, wrong: _Wrong) -> str:
    off_seconds = abs(wrong.behind_ms) // MS_PER_SECOND
    return (
        f"broker {broker}'s clock is {off_seconds} s {'behind' if wrong.behind_ms > 0 else 'ahead'}: it stamped a "
        f"record {rfc3339(wrong.stamped_ms)} that came at {rfc3339(wrong.seen.wall_ms)}, where there was none just "
        "before; synchronise it (NTP)"
    )
