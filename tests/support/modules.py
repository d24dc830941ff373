"""The dashboard's modules that need no page, run by Node.js: quicker than a browser, for many cases."""

import json
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.support.system import NO_SKIP

SECONDS = 30
PROGRAM = """
import {{ readFileSync }} from "node:fs";
{imports}
const answer = await ({function})(JSON.parse(readFileSync(0, "utf8")));
console.log(JSON.stringify(answer, (_, value) => (typeof value === "bigint" ? String(value) : value)));
"""


def modules(directory: Path) -> "Modules":
    """The modules in an empty directory. Skips where there is no Node.js; fails where skips are forbidden."""
    if shutil.which("node") is None:
        (pytest.fail if os.environ.get(NO_SKIP) else pytest.skip)("node not found; it runs the dashboard's modules")
    (directory / "package.json").write_text('{"type": "module"}')
    for file in (files("api") / "dashboard").iterdir():
        if file.name.endswith(".js"):
            (directory / file.name).write_bytes(file.read_bytes())
    return Modules(directory)


class Modules:
    """Functions of JavaScript that know everything that the named modules export, as in ``summary.change``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def run(self, function: str, given: Any = None, names: tuple[str, ...] = ("decimal", "summary", "words")) -> Any:
        """What a function returns for an argument. Both go through JSON; whole numbers of any size come as texts."""
        imports = "\n".join(f'import * as {name} from "./{name}.js";' for name in names)
        program = PROGRAM.format(imports=imports, function=function)
        done = subprocess.run(
            ["node", "--input-type=module", "--eval", program],
            cwd=self._directory, input=json.dumps(given), capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
