"""What is installed: every folder with code of ours."""

import tomllib

from tests.support.source import PACKAGES, ROOT


def test_every_folder_with_code_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {file.parent.relative_to(ROOT) for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    assert {".".join(folder.parts) for folder in folders} <= set(listed)
