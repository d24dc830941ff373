"""Where a document is played: a directory like a user's, a session that remembers what was exported."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.blocks import Block, blocks
from tests.docs.node import node_problem, require_node
from tests.docs.shape import answer_problem

BLOCK_SECONDS = 60
RUNNERS = {"python": "python", "js": "node", "java": "java"}
SUFFIXES = {"python": "py", "js": "mjs", "java": "java"}
_SESSION = "set -aeuo pipefail\n[ ! -f .session ] || . ./.session\n{}\nexport -p > .session\n"


@dataclass
class Stage:
    """``replace`` turns addresses that a document names into those of the running system."""

    directory: Path
    environment: Mapping[str, str]
    replace: Mapping[str, str] = field(default_factory=dict)

    def prepare(self, commands: Mapping[str, str]) -> None:
        """Put commands (name: script) on the path, and our own programs where a user has them."""
        (self.directory / "bin").mkdir(parents=True)
        (self.directory / ".venv").symlink_to(sys.prefix)
        for name, script in commands.items():
            file = self.directory / "bin" / name
            file.write_text(f"#!/bin/bash\n{script}\n")
            file.chmod(0o755)

    def play(self, document: str) -> str:
        """Run a document from top to bottom; what it shows as answers must have the shape of the real ones.

        Returns all that its blocks have printed.

        Where there is no Node.js, all but the JavaScript is run, and then the test is skipped for the rest.
        """
        (self.directory / ".session").unlink(missing_ok=True)
        printed, left_out, everything = "", False, ""
        for block in blocks(document):
            if block.language == "js" and node_problem():
                left_out = True
            elif block.is_run:
                printed = self._run(block)
                everything += printed
            elif block.is_answer and block.not_run is None:
                problem = answer_problem(block.language, block.text, printed)
                assert problem is None, f"{block.place}: {problem}"
        if left_out:
            require_node()
        return everything

    def _run(self, block: Block) -> str:
        text = block.text
        for named, real in self.replace.items():
            text = text.replace(named, real)
        if block.language != "sh":
            file = self.directory / f"block_{block.line}.{SUFFIXES[block.language]}"
            file.write_text(text)
            text = f"{RUNNERS[block.language]} {file.name}"
        done = subprocess.run(
            ["bash", "-c", _SESSION.format(text)],
            cwd=self.directory, env=dict(self.environment), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=BLOCK_SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block.place}: exit code {done.returncode}\n{done.stdout}"
        return done.stdout
