"""The dashboard's files over HTTP: a page, its styles and scripts, and plotly's script from the installed package.

Nothing is built and nothing comes from elsewhere: the policy sent along forbids the page to load or call anything but
this server. A key is entered on the page and goes out in the Authorization header only; no address ever holds one.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cache, partial
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import PurePosixPath

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.assets import ASK_AGAIN, Asset, LazyAsset
from api.errors import NotFound
from api.security import policy

MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
VERSION_CHARACTERS = 16
FOR_EVER = "public, max-age=31536000, immutable"
"""Cache-Control of files that have their version in their address."""

POLICY = policy(script_src="'self'", style_src="'self'", img_src="'self'", connect_src="'self'")
SAFETY_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _asset(body: bytes, suffix: str) -> Asset:
    return Asset.of(body, MEDIA_TYPES[suffix], SAFETY_HEADERS)


def plotly_name() -> str:
    """The file name under which plotly's script is served; it changes with the version."""
    return f"plotly-{distribution('plotly').version}.js"


_OWN_STYLES = re.compile(rb'document\.getElementById\("([0-9a-f]{64})"\)')


def _plotly_script() -> bytes:
    """plotly's own bundle. Found by the package's metadata, since importing plotly would cost memory."""
    located = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
    with open(str(located), "rb") as file:
        return file.read()


def _style_stand_ins(script: bytes) -> str:
    """Elements with the ids of the style sheets that plotly's bundle adds for parts unused here (maps).

    Where such an element exists the bundle adds nothing. The policy would refuse it, with an error on the console.
    """
    names = dict.fromkeys(_OWN_STYLES.findall(script))
    return "".join(f'<template id="{name.decode()}"></template>' for name in names)


@cache
def _own_files() -> Mapping[str, bytes]:
    """The dashboard's styles, modules and pictures by name."""
    found = sorted((files("api") / "dashboard").iterdir(), key=lambda file: file.name)
    return {file.name: file.read_bytes() for file in found if _suffix(file.name) in MEDIA_TYPES.keys() - {".html"}}


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix


@cache
def own_version() -> str:
    """Digest of all own files together, which is part of their addresses.

    Modules import each other by relative addresses: a returning browser fetches none of them again, and after any
    change all of them.
    """
    digest = hashlib.sha256()
    for name, body in _own_files().items():
        digest.update(name.encode() + hashlib.sha256(body).digest())
    return digest.hexdigest()[:VERSION_CHARACTERS]


def page() -> Asset:
    """The page itself, with the versions filled in.

    It preloads every module, so that all are fetched at once instead of one after the other along their imports.
    """
    text = (files("api") / "dashboard" / "index.html").read_text()
    modules = (f'<link rel="modulepreload" href="/assets/{name}">' for name in _own_files() if _suffix(name) == ".js")
    text = text.replace("<!-- MODULES -->", "\n    ".join(modules))
    text = text.replace("/assets/", f"/assets/{own_version()}/")
    text = text.replace(f"/assets/{own_version()}/PLOTLY_NAME", f"/assets/{plotly_name()}")
    text = text.replace("<!-- STYLE STAND-INS -->", _style_stand_ins(_plotly_script()))
    return _asset(text.encode(), ".html")


@cache
def _assets() -> Mapping[str, LazyAsset]:
    """The page under '', and the files under /assets/ by name."""
    assets = {"": LazyAsset(page), plotly_name(): LazyAsset(lambda: _asset(_plotly_script(), ".js"))}
    for name, body in _own_files().items():
        assets[name] = LazyAsset(partial(_asset, body, _suffix(name)))
    return assets


def dashboard_routes() -> list[BaseRoute]:
    """The page at / and its files under /assets/.

    During a rolling update a page of the other release asks for its own version: it gets today's file, without the
    permission to keep it for ever.
    """

    async def index(request: Request) -> Response:
        return (await _assets()[""].get()).respond(request)

    async def asset(request: Request) -> Response:
        name, version = request.path_params["name"], request.path_params.get("version")
        if name not in _assets():
            raise NotFound
        is_pinned = version == own_version() or name == plotly_name()
        return (await _assets()[name].get()).respond(request, FOR_EVER if is_pinned else ASK_AGAIN)

    return [
        Route(path, end) for path, end in (("/", index), ("/assets/{name}", asset), ("/assets/{version}/{name}", asset))
    ]
