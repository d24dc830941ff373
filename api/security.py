"""Security headers: content security policies, and defaults for every answer that does not set its own."""

import base64
import hashlib
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send


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
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """Middleware: adds the headers to every answer. HSTS is left to the proxy that terminates TLS."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *((n, v) for n, v in _RAW if n not in own)]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


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
