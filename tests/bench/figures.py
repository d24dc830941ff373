"""What a run of the benchmark has measured: one table, for people and as JSON."""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, and where there is one the target that it is held against."""

    part: str
    name: str
    value: float
    unit: str
    at_least: float | None = None
    at_most: float | None = None

    @property
    def verdict(self) -> str:
        """The target and whether it is met; '' where there is none."""
        if self.at_least is not None:
            return f">= {self.at_least:,.4g}: " + ("met" if self.value >= self.at_least else "MISSED")
        if self.at_most is not None:
            return f"<= {self.at_most:,.4g}: " + ("met" if self.value <= self.at_most else "MISSED")
        return ""


@dataclass(slots=True)
class Figures:
    """All figures of a run; each is also said as soon as it is known."""

    title: str
    rows: list[Figure] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(
        self,
        part: str,
        name: str,
        value: float,
        unit: str,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Note a number."""
        figure = Figure(part, name, value, unit, at_least, at_most)
        self.rows.append(figure)
        print(_line(figure), flush=True)

    def remark(self, sentence: str) -> None:
        """Note what a reader must know, above all what was not measured."""
        self.remarks.append(sentence)
        print(f"  ({sentence})", flush=True)

    def of(self, part: str) -> list[Figure]:
        """The figures of one part."""
        return [row for row in self.rows if row.part == part]

    def text(self) -> str:
        """The table."""
        lines = [self.title]
        for part in dict.fromkeys(row.part for row in self.rows):
            lines += ["", part, *map(_line, self.of(part))]
        return "\n".join([*lines, "", *self.remarks])

    def write(self, path: Path) -> None:
        """The same as JSON."""
        rows = [{**asdict(row), "verdict": row.verdict} for row in self.rows]
        load = [round(x, 2) for x in os.getloadavg()]
        document = {"title": self.title, "load_average_at_end": load, "figures": rows, "remarks": self.remarks}
        path.write_text(json.dumps(document, indent=1) + "\n")


def _line(figure: Figure) -> str:
    digits = 0 if abs(figure.value) >= 100 else 1 if abs(figure.value) >= 10 else 2
    return f"  {figure.name:<62} {figure.value:>13,.{digits}f} {figure.unit:<12} {figure.verdict}".rstrip()
