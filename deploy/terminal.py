"""Text that comes from elsewhere, made safe to show: an organization's name may hold what a terminal obeys.

Escape sequences move the cursor, rewrite what stands above or fill the clipboard; bidirectional controls show text in
another order than it has. Both are shown as ``\\x1b`` or ``\\u202e``.
"""

import json
import re
from typing import Any

import msgspec

_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 and C1 controls, DEL, line and paragraph separators, bidirectional overrides and isolates, lone surrogates."""
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def safe(text: str) -> str:
    """The text as one line without anything that a terminal would obey."""
    return text if text.isprintable() else _UNSAFE.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return _SHORT.get(found[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def safe_json(document: Any) -> str:
    """A document as one line of JSON with exactly its values: what is not safe to show stands in JSON's own escapes."""
    try:
        text = msgspec.json.encode(document).decode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can write and UTF-8 cannot
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=msgspec.to_builtins)
    return text if text.isprintable() else _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
