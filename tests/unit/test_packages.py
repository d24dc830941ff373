"""What is installed: every folder with code of ours."""

import tomllib

from tests.support.source import PACKAGES, ROOT

KINDS = ("*.py", "*.sql", "*.js", "*.css", "*.html", "*.svg")


def test_every_folder_with_something_that_is_read_at_run_time_is_installed() -> None:
    """An editable installation would not notice: it has the folders themselves."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    files = (file for package in PACKAGES for kind in KINDS for file in (ROOT / package).rglob(kind))
    assert {".".join(file.parent.relative_to(ROOT).parts) for file in files} <= set(listed)
