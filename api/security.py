"""Security headers: content security policies, and defaults for every answer that does not set its own."""

import base64
import hashlib
import re


def policy(**sources: str) -> str:
    """A content security policy that allows these sources and nothing else (``script_src`` is script-src)."""
    allowed = "".join(f"{name.replace('_', '-')} {source}; " for name, source in sources.items())
    return f"default-src 'none'; {allowed}base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


NOTHING = policy()
"""The policy of data: even shown as a page it can load and run nothing."""

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": NOTHING,
}
_RAW = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_NAMES = frozenset(name for name, _ in _RAW)
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def with_defaults(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, and those of ``HEADERS`` that it does not set itself. Names are lower-case.

    HSTS is left to the proxy that terminates TLS.
    """
    own = {name for name, _ in headers}
    return [*headers, *(_RAW if own.isdisjoint(_NAMES) else ((n, v) for n, v in _RAW if n not in own))]


def policy_for_page(html: str) -> str:
    """A policy under which a page runs exactly the inline scripts it has now, and talks to its own origin only."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(html))
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return policy(
        script_src=scripts,
        style_src="'unsafe-inline'",
        img_src="'self' data:",
        font_src="data:",
        connect_src="'self'",
    )
