"""The table of faults in README.md, made from the catalogue: ``python -m tests.faults.table`` writes it anew."""

from collections.abc import Iterator
from pathlib import Path

from tests.faults.catalogue import FAULTS, Fault

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- faults: made by python -m tests.faults.table -->\n", "<!-- end of faults -->\n"
HEAD = "| fault | what happens | what must come of it | how it is done | lasts | run by |\n|---|---|---|---|---|---|\n"


def table() -> str:
    """The whole table, one row per fault."""
    return HEAD + "".join(_row(fault) for fault in FAULTS)


def _row(fault: Fault) -> str:
    low, high = fault.seconds
    lasts = f"{low:g} to {high:g} s" if high else ""
    tests = "<br>".join(f"`{name}`" for name in _short(fault.tests))
    return f"| `{fault.name}` | {fault.does} | {fault.outcome} | {fault.how} | {lasts} | {tests} |\n"


def _short(tests: tuple[str, ...]) -> Iterator[str]:
    for test in tests:
        file, name = test.split("::")
        yield f"{Path(file).name}::{name}"


def with_table(text: str) -> str:
    """A README's text with the table of this moment."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
