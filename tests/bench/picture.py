"""The picture of a run: a panel per part, a bar per figure."""

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from tests.bench.figures import Figure, Figures

WIDTH_INCHES, INCHES_A_BAR, INCHES_A_PANEL = 11, 0.24, 0.7


def draw(figures: Figures, picture: Path) -> None:
    """Bars of everything that shares a unit, on a logarithmic scale; a target is a mark on its bar."""
    panels: dict[tuple[str, str], list[Figure]] = {}
    for row in figures.rows:
        panels.setdefault((row.part, row.unit), []).append(row)
    heights = [len(rows) * INCHES_A_BAR + INCHES_A_PANEL for rows in panels.values()]
    canvas = Canvas(figsize=(WIDTH_INCHES, sum(heights) + 0.6), layout="constrained")
    canvas.suptitle(figures.title, fontsize="medium")
    places = canvas.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, ((part, unit), rows) in zip(places, panels.items(), strict=True):
        _panel(axes, f"{part}, {unit}", rows)
    canvas.savefig(picture, dpi=70)


def _panel(axes: Axes, title: str, rows: list[Figure]) -> None:
    names, values = [row.name for row in rows], [row.value for row in rows]
    bars = axes.barh(names, values, color="#4477aa")
    axes.bar_label(
        bars, [f" {value:,.0f}" if value >= 100 else f" {value:.3g}" for value in values], fontsize="x-small"
    )
    for number, row in enumerate(rows):
        target = row.at_least if row.at_least is not None else row.at_most
        if target is not None:
            axes.plot([target, target], [number - 0.45, number + 0.45], color="#cc3311", linewidth=1.6)
    if min(values) > 0 and max(values) > 20 * min(values):
        axes.set_xscale("log")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.tick_params(labelsize="x-small")
    axes.set_title(title, fontsize="small", loc="left")
