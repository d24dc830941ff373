"""Whether what a document shows has the shape of what is really answered: the same words, other numbers."""

import json
import re
import socket
from typing import Any

FREE = {"key", "request_id", "next_cursor", "org_id", "event_id", "owner", "prefix", "id", "kafka_bootstrap"}
"""Members whose text is somebody's own."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)")
_NUMBER = re.compile(r"\d+(\.\d+)?")
_OWNERS = re.compile(rf"\b(worker-1|{re.escape(socket.gethostname())})-\d+\b")
_NAMES = re.compile(r"am_live_\w+|\b01[0-9A-HJKMNP-TV-Z]{24}\b|[\w.-]+-\d+-[0-9a-f]+\b|127\.0\.0\.1:\d+|localhost:\d+")


def json_problem(shown: Any, real: Any, path: str = "$") -> str | None:
    """How two documents differ in shape, or None. null may stand for anything that is not known yet."""
    if shown is None or real is None:
        return None
    if isinstance(shown, dict) and isinstance(real, dict):
        if shown.keys() != real.keys():
            return f"{path}: {sorted(shown)} is shown, {sorted(real)} is answered"
        problems = (json_problem(shown[name], real[name], f"{path}.{name}") for name in shown)
        return next((problem for problem in problems if problem), None)
    if isinstance(shown, list) and isinstance(real, list):
        return _list_problem(shown, real, path)
    if isinstance(shown, str) and isinstance(real, str):
        same = shown == real or path.rpartition(".")[2] in FREE or all(map(_INSTANT.fullmatch, (shown, real)))
        return None if same else f"{path}: {shown!r} is shown, {real!r} is answered"
    numbers = (int, float)
    if (
        isinstance(shown, bool)
        or isinstance(real, bool)
        or not (isinstance(shown, numbers) and isinstance(real, numbers))
    ):
        return None if shown is real else f"{path}: {shown!r} is shown, {real!r} is answered"
    return None


def _list_problem(shown: list[Any], real: list[Any], path: str) -> str | None:
    if bool(shown) != bool(real):
        return f"{path}: {len(shown)} elements are shown, {len(real)} are answered"
    for element in shown:
        problems = [json_problem(element, other, f"{path}[]") for other in real]
        if all(problems):
            return problems[0]
    return None


def plain(text: str) -> str:
    """A text without what differs from run to run: instants, numbers, names that are made, widths of columns."""
    text = _INSTANT.sub("T", text)
    text = _NAMES.sub("NAME", _OWNERS.sub("NAME", text))
    return "\n".join(" ".join(_NUMBER.sub("N", line).split()) for line in text.strip().splitlines())


def text_problem(shown: str, real: str) -> str | None:
    """How a text differs in shape, or None. A line of ``…`` stands for any number of lines."""
    lines = (r"(?:.*\n)*" if line == "…" else re.escape(line) + r"\n" for line in plain(shown).splitlines())
    if re.fullmatch("".join(lines), plain(real) + "\n"):
        return None
    return f"shown:\n{plain(shown)}\nanswered:\n{plain(real)}"


def answer_problem(language: str, shown: str, real: str) -> str | None:
    """The same for a block of a document and what was printed."""
    if language == "json":
        return json_problem(json.loads(shown), json.loads(real[real.index("{") :]))
    return text_problem(shown, real)
