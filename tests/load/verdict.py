"""What was found, held against what was sent; and the table that says so. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

GRAIN_MINUTES = {"minute": 1, "hour": 60, "day": 1440}
METRICS = ("sent", "delivered", "failed", "micros")
MOST_API_MIB = 400
MOST_SLOWER = 2.0
"""The limit of the 99th percentile beside strangers, in those of the quiet phase of the same run."""
BUCKET = 2
"""What of a row's key names its bucket: organization and minute. The rest is its group."""

Rows = Mapping[Any, list[int]]
"""(org, epoch minute in which the bucket begins[, channel, error code]) to METRICS, cost in millionths."""


def no_rows() -> Rows:
    """Rows to be counted into: what has none begins at nothing."""
    return defaultdict(lambda: [0] * len(METRICS))


@dataclass(frozen=True, slots=True)
class Compared:
    """One line of the table: things of a kind, how many there should be, and what became of them."""

    what: str
    rows: int
    expected: int
    lost: int
    doubled: int
    differing: int = 0
    """Rows in which anything is wrong, costs included."""

    @property
    def is_right(self) -> bool:
        """Nothing is wrong, and there was something to be wrong."""
        return self.expected > 0 and not (self.lost or self.doubled or self.differing)


def without_groups(rows: Rows) -> Rows:
    """The same rows with their groups added up."""
    total = no_rows()
    for key, row in rows.items():
        _add(total[key[:BUCKET]], row)
    return total


def compare(what: str, grain: str, minutes: Rows, found: Rows, as_of_minutes: int) -> Compared:
    """A rollup against the recount of what was sent by minute, among the buckets that ended at ``as_of``."""
    width = GRAIN_MINUTES[grain]
    recount = no_rows()
    for (org, minute, *group), row in minutes.items():
        _add(recount[org, minute // width * width, *group], row)
    expected = {key: row for key, row in recount.items() if key[1] + width <= as_of_minutes}
    closed = {key: list(row) for key, row in found.items() if key[1] + width <= as_of_minutes}
    nothing, lost, doubled, differing = [0] * len(METRICS), 0, 0, 0
    for key in expected.keys() | closed.keys():
        should, does = expected.get(key, nothing), closed.get(key, nothing)
        lost += sum(max(0, a - b) for a, b in zip(should[:-1], does[:-1], strict=True))
        doubled += sum(max(0, b - a) for a, b in zip(should[:-1], does[:-1], strict=True))
        differing += should != does
    return Compared(what, len(expected), sum(sum(row[:-1]) for row in expected.values()), lost, doubled, differing)


def _add(total: list[int], row: Sequence[int]) -> None:
    total[:] = [a + b for a, b in zip(total, row, strict=True)]


@dataclass(frozen=True, slots=True)
class Endured:
    """How long clients who pay waited, in milliseconds, in a quiet phase and beside strangers; and the API's memory."""

    quiet: Sequence[float]
    beside: Sequence[float]
    api_peak_mib: float
    deeds: Mapping[str, int]
    """What strangers did, each kind by name."""

    @property
    def times_slower(self) -> float:
        """The ratio of both 99th percentiles; NaN where there is one of them at most."""
        return quantiles(self.beside, 0.99)[0] / quantiles(self.quiet, 0.99)[0]

    def problems(self) -> list[str]:
        """In words; none where all is well, and there was something to endure."""
        found = [
            f"no {deed}: strangers did not do what was to be endured" for deed, times in self.deeds.items() if not times
        ]
        if not self.times_slower <= MOST_SLOWER:
            found.append(
                f"p99 beside strangers is {self.times_slower:.1f} times that without, {MOST_SLOWER} is allowed"
            )
        if not self.api_peak_mib < MOST_API_MIB:
            found.append(f"the API took {self.api_peak_mib:.0f} MiB, {MOST_API_MIB} is the limit")
        return found


def verdict_table(lines: Sequence[Compared]) -> str:
    """What was sent, and what is lost or doubled of it."""
    head = f"{'':<18}{'rows':>12}{'expected':>14}{'lost':>10}{'doubled':>10}{'rows wrong':>12}"
    rows = (f"{x.what:<18}{x.rows:>12,}{x.expected:>14,}{x.lost:>10,}{x.doubled:>10,}{x.differing:>12,}" for x in lines)
    return "\n".join([head, *rows])


def sample_table(samples: Mapping[str, Sequence[float]]) -> str:
    """Median, 99th percentile and most of what was measured."""
    head = f"{'':<26}{'median':>12}{'p99':>12}{'most':>12}{'samples':>10}"
    rows = (
        f"{name:<26}" + "".join(f"{value:>12,.1f}" for value in quantiles(seen, 0.5, 0.99, 1)) + f"{len(seen):>10,}"
        for name, seen in samples.items()
    )
    return "\n".join([head, *rows])


def quantiles(values: Sequence[float], *shares: float) -> list[float]:
    """The values below which these shares of all lie; NaN where there are none."""
    ordered = sorted(values) or [float("nan")]
    return [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in shares]
