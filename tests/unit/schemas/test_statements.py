"""SQL files: what is included is put in, indented as the line that names it."""

import sys
from pathlib import Path

import pytest

from schemas.statements import load


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package of its own with these files in ``sql``."""
    name = f"package_of_{tmp_path.name}"
    files = {
        "whole": "SELECT\n    -- include pieces/columns.sql\nFROM t\n",
        "twice": "-- include whole.sql\nUNION ALL\n-- include whole.sql\n",
        "lost": "-- include pieces/none.sql\n",
        "said": "SELECT 1 -- include pieces/columns.sql\n",
        "pieces/columns": "a,\n    b\n",
    }
    for file, text in files.items():
        path = tmp_path / name / "sql" / f"{file}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


def test_a_piece_is_put_in_and_indented(package: str) -> None:
    assert load(package, "whole") == "SELECT\n    a,\n        b\nFROM t\n"


def test_a_piece_may_include_others_and_be_included_twice(package: str) -> None:
    whole = load(package, "whole")
    assert load(package, "twice") == f"{whole}UNION ALL\n{whole}"


def test_a_piece_that_is_missing_is_an_error_and_a_comment_beside_code_is_none(package: str) -> None:
    assert load(package, "said") == "SELECT 1 -- include pieces/columns.sql\n"
    with pytest.raises(FileNotFoundError):
        load(package, "lost")
