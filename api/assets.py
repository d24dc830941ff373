"""Answers that are the same for everybody: made once, with their compressed form, and kept."""

import gzip
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api.negotiate import accepts_gzip, is_not_modified

GZIP_LEVEL = 6  # once a process: the answer is kept
ETAG_CHARACTERS = 32
ASK_AGAIN = "no-cache"


@dataclass(frozen=True, slots=True)
class Asset:
    """Plain and compressed bytes, the tag of the plain ones, and headers of its own."""

    body: bytes
    compressed: bytes
    etag: str
    media_type: str
    headers: Mapping[str, str]

    @classmethod
    def of(cls, body: bytes, media_type: str, headers: Mapping[str, str] = {}) -> "Asset":
        digest = hashlib.sha256(body).hexdigest()[:ETAG_CHARACTERS]
        return cls(body, gzip.compress(body, GZIP_LEVEL, mtime=0), f'W/"{digest}"', media_type, headers)

    def respond(self, request: Request, cache_control: str = ASK_AGAIN) -> Response:
        """The bytes, or 304 where the client has them already."""
        headers = {"ETag": self.etag, "Cache-Control": cache_control, "Vary": "Accept-Encoding", **self.headers}
        if is_not_modified(request.headers.get("if-none-match"), self.etag):
            return Response(status_code=304, headers=headers)
        if accepts_gzip(request.headers.get("accept-encoding", "")):
            return Response(self.compressed, media_type=self.media_type, headers=headers | {"Content-Encoding": "gzip"})
        return Response(self.body, media_type=self.media_type, headers=headers)


class LazyAsset:
    """An asset that is made in a thread at the first request for it, once however many ask at the same time."""

    def __init__(self, make: Callable[[], Asset]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._made: Asset | None = None

    async def get(self) -> Asset:
        """The asset. Blocks nothing."""
        if self._made is None:
            return await run_in_threadpool(self._get_made)
        return self._made

    def _get_made(self) -> Asset:
        with self._lock:
            made = self._made or self._make()
            self._made = made
        return made
