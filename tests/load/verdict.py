"""What was found, held against what was sent; and the table that says so. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GRAIN_MINUTES = {"minute": 1, "hour": 60, "day": 1440}

Rows = Mapping[tuple[str, int], Sequence[int]]
"""(org, epoch minute in which the bucket begins) to (sent, delivered, failed, cost in millionths)."""


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


def compare(grain: str, minutes: Rows, found: Rows, as_of_minutes: int) -> Compared:
    """A rollup against the recount of what was sent by minute, among the buckets that ended at ``as_of``."""
    width = GRAIN_MINUTES[grain]
    recount: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for (org, minute), row in minutes.items():
        bucket = minute // width * width
        recount[org, bucket] = [a + b for a, b in zip(recount[org, bucket], row, strict=True)]
    expected = {key: row for key, row in recount.items() if key[1] + width <= as_of_minutes}
    closed = {key: list(row) for key, row in found.items() if key[1] + width <= as_of_minutes}
    nothing, lost, doubled, differing = [0, 0, 0, 0], 0, 0, 0
    for key in expected.keys() | closed.keys():
        should, does = expected.get(key, nothing), closed.get(key, nothing)
        lost += sum(max(0, a - b) for a, b in zip(should[:3], does[:3], strict=True))
        doubled += sum(max(0, b - a) for a, b in zip(should[:3], does[:3], strict=True))
        differing += should != does
    return Compared(grain, len(expected), sum(sum(row[:3]) for row in expected.values()), lost, doubled, differing)


def verdict_table(lines: Sequence[Compared]) -> str:
    """What was sent, and what is lost or doubled of it."""
    head = f"{'':<14}{'rows':>12}{'expected':>14}{'lost':>10}{'doubled':>10}{'rows wrong':>12}"
    rows = (f"{x.what:<14}{x.rows:>12,}{x.expected:>14,}{x.lost:>10,}{x.doubled:>10,}{x.differing:>12,}" for x in lines)
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
