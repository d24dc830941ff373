"""The picture of a soak: four panels over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure

SIZE_INCHES = (10, 11)


class Sample(Protocol):
    """What is drawn; ``at`` is in seconds."""

    at: float
    rss_mib: float
    lag: int
    as_of_age_seconds: float | None
    parts: dict[str, int]


def draw(samples: Sequence[Sample], picture: Path, title: str) -> None:
    """Memory, lag, age of as_of and parts, one above the other."""
    figure = Figure(figsize=SIZE_INCHES, layout="constrained")
    figure.suptitle(title)
    memory, lag, age, parts = figure.subplots(4, 1, sharex=True)
    at = [s.at for s in samples]
    _panel(memory, "worker's memory, MiB", at, {"": [s.rss_mib for s in samples]})
    _panel(lag, "records behind", at, {"": [float(s.lag) for s in samples]})
    _panel(age, "age of as_of, s", at, {"": [s.as_of_age_seconds or float("nan") for s in samples]})
    tables = samples[0].parts if samples else {}
    _panel(parts, "active parts", at, {table: [float(s.parts[table]) for s in samples] for table in tables})
    parts.set_xlabel("seconds")
    figure.savefig(picture, dpi=100)


def _panel(axes: Axes, label: str, at: Sequence[float], lines: dict[str, list[float]]) -> None:
    for name, values in lines.items():
        axes.plot(at, values, label=name, linewidth=1.4)
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    if any(lines):
        axes.legend(loc="upper left", fontsize="small", frameon=False)
