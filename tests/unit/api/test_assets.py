"""Answers that are the same for everybody."""

import asyncio
import gzip
import time
from typing import Any

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from api.app import create_app
from api.assets import Asset, LazyAsset
from api.reader import Reader

DOCUMENTS = ("/openapi.json", "/docs", "/schemas/message-event.json")


def request(**headers: str) -> Request:
    raw = [(name.lower().replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw})


def test_however_many_ask_at_once_it_is_made_once() -> None:
    made = []

    def make() -> Asset:
        time.sleep(0.02)  # as long as all that ask are in their threads
        made.append(Asset.of(b"x", "text/html"))
        return made[-1]

    async def ask_all() -> list[Asset]:
        asset = LazyAsset(make)
        return [*await asyncio.gather(*(asset.get() for _ in range(20))), await asset.get()]

    got = asyncio.run(ask_all())
    assert len(made) == 1
    assert all(asset is made[0] for asset in got)


def test_it_goes_out_as_the_client_can_take_it() -> None:
    asset = Asset.of(b"x" * 5000, "text/html", {"X-Own": "1"})
    packed, plain = (asset.respond(request(Accept_Encoding=coding)) for coding in ("br, gzip;q=0.5", "gzip;q=0"))
    assert gzip.decompress(bytes(packed.body)) == bytes(plain.body) == b"x" * 5000
    assert (packed.headers.get("content-encoding"), plain.headers.get("content-encoding")) == ("gzip", None)
    again = asset.respond(request(If_None_Match=packed.headers["etag"]))
    assert (again.status_code, again.body, again.headers["x-own"]) == (304, b"", "1")


@pytest.mark.parametrize("path", DOCUMENTS)
def test_a_document_is_made_for_its_first_request_alone(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, of = [], Asset.of

    def counted(*words: Any) -> Asset:
        made.append(of(*words))
        return made[-1]

    monkeypatch.setattr(Asset, "of", counted)
    with TestClient(create_app(Reader("http://127.0.0.1:1/none"), lambda: 0, lambda: 0.0)) as http:
        first, again = http.get(path), http.get(path)
        assert (len(made), first.content) == (1, again.content)
        assert first.headers["content-encoding"] == "gzip"
        assert http.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
