"""Documents as blocks of code, headings and links.

The words after a block's language say what becomes of it:

::

    sh, python, js, java     run, in the order of the document
    json|text|csv answer     what the block before printed: compared in shape
    json event               an event: decoded
    json record              the value of a record with an event in it: opened
    text                     a picture or a file, for the eye alone
    … not-run="why"          cannot run here; test_documents.py holds the list
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import ROOT

RUN = ("sh", "python", "js", "java")
ANSWERS = ("json", "text", "csv")
_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REASON = re.compile(r'not-run="([^"]+)"')
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ANY_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is that of its first line in the document."""

    document: str
    line: int
    language: str
    words: str
    text: str

    @property
    def not_run(self) -> str | None:
        """Why it cannot be run here, or None."""
        found = _REASON.search(self.words)
        return found[1] if found else None

    @property
    def is_run(self) -> bool:
        return self.language in RUN and self.not_run is None

    @property
    def is_answer(self) -> bool:
        return self.words.strip() == "answer"

    @property
    def place(self) -> str:
        return f"{self.document}:{self.line}"


def documents() -> Sequence[str]:
    """The documents whose code is run."""
    return ["README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]


def read(document: str) -> str:
    return (ROOT / document).read_text()


def blocks(document: str) -> list[Block]:
    """All fenced blocks of a document, in order."""
    text = read(document)
    return [
        Block(document, text[: found.start()].count("\n") + 2, found[1], found[2], found[3])
        for found in _FENCE.finditer(text)
    ]


def anchors(path: Path) -> set[str]:
    """What a link into a document may name after ``#``, made of its headings as GitHub makes them."""
    headings = _HEADING.findall(_ANY_FENCE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def links(document: str) -> Iterator[tuple[Path, str]]:
    """(file, anchor or '') of every link of a document that stays in the repository."""
    here = ROOT / document
    for target in _LINK.findall(_ANY_FENCE.sub("", here.read_text())):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield ((here.parent / path).resolve() if path else here), anchor
