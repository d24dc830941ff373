"""The licences of everything that the image contains, from the metadata of what is installed.

``python -m tests.support.licenses`` writes ``deploy/LICENSES.md``; a test compares it with requirements-runtime.lock.
"""

import re
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LISTING = ROOT / "deploy" / "LICENSES.md"
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-CMU"),
    *("PSF-2.0", "Unlicense", "Zlib", "LicenseRef-Repoze"),
}
"""Licences that ask for nothing but their notice."""
FILE_COPYLEFT = {"certifi": {"MPL-2.0"}, "tqdm": {"MPL-2.0"}}
"""Packages whose licence also asks for the source of its own files: nobody here changes them, and PyPI has it."""
NAMES = {
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache 2": "Apache-2.0",
    "BSD License": "BSD",
    "BSD 3-Clause": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD-3-Clause License": "BSD-3-Clause",
    "MIT License": "MIT",
    "The MIT License": "MIT",
    "ISC License (ISCL)": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Repoze Public License": "LicenseRef-Repoze",
}
"""What packages write instead of the SPDX name."""


def locked() -> list[str]:
    """Names of the packages in the image, in order."""
    text = (ROOT / "requirements-runtime.lock").read_text()
    return sorted(re.findall(r"^([\w.-]+)==", text, re.MULTILINE), key=str.lower)


def license_of(found: PackageMetadata) -> str:
    """The SPDX expression of a package, from whichever field it is kept in; '' where it says nothing."""
    fields: dict[str, Any] = dict(found.json)
    if declared := fields.get("license_expression"):
        return str(declared)
    classified = [c.rpartition(" :: ")[2] for c in fields.get("classifier", []) if c.startswith("License ::")]
    named = [name for name in classified if name != "OSI Approved"] or [str(fields.get("license", "")).strip()]
    return " OR ".join(NAMES.get(name, name) for name in named if len(name) < 100)


def words(expression: str) -> set[str]:
    """The licences that an expression names."""
    return set(re.split(r"\s+(?:AND|OR|WITH)\s+|[()\s]+", expression)) - {"", "AND", "OR", "WITH"}


def render() -> str:
    """The list."""
    rows = "".join(f"| {name} | {license_of(metadata(name))} |\n" for name in locked())
    return (
        "# Licences of what the image contains\n\nMade by `python -m tests.support.licenses` from the packages' own "
        f"metadata; packages are those of `requirements-runtime.lock`.\n\n| package | licence |\n|---|---|\n{rows}"
    )


if __name__ == "__main__":
    LISTING.write_text(render())
