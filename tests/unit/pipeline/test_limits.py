"""The table of limits in pipeline/README.md says what the code does."""

import importlib
import re
from pathlib import Path

import pytest

from schemas.settings import PREFIX, SETTINGS

README = Path(__file__).parents[3] / "pipeline" / "README.md"
ROW = re.compile(r"^\| .+ \| ([\d,]+) (\w+) \| `([\w.]+)` \|$", re.MULTILINE)
UNITS = {"KiB": 1 << 10, "MiB": 1 << 20}
MILLISECONDS = {"seconds": 1000, "minutes": 60_000}


def limits() -> list[tuple[str, str, str]]:
    """Number, unit and name of every row."""
    return ROW.findall(README.read_text())


@pytest.mark.parametrize(("number", "unit", "name"), limits(), ids=[name for _, _, name in limits()])
def test_a_stated_limit_is_the_codes_own(number: str, unit: str, name: str) -> None:
    stated, value = int(number.replace(",", "")), _value(name)
    if name.endswith("_MS"):
        assert stated * MILLISECONDS[unit] == value
    elif unit == "minutes":
        assert stated * 60 == value
    else:
        assert stated * UNITS.get(unit, 1) == value


def test_the_table_was_found_whole() -> None:
    assert len(limits()) == README.read_text().count("` |\n")


def _value(name: str) -> float:
    if name.startswith(PREFIX):
        return float(next(s.default for s in SETTINGS if s.variable == name))
    module, constant = name.rsplit(".", 1)
    return float(getattr(importlib.import_module(module), constant))
