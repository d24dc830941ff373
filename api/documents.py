"""The documents of the API: its OpenAPI description, a page to try it on, and the schema of the event."""

from collections.abc import Callable
from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.assets import Asset, LazyAsset
from api.negotiate import JSON
from api.openapi import openapi
from api.security import policy_for_page


def _openapi() -> Asset:
    return Asset.of(msgspec.json.encode(openapi()), JSON)


def _docs() -> Asset:
    from offapi import OpenAPITemplate  # megabytes of scripts, imported when the page is first asked for

    page = OpenAPITemplate.SWAGGER.value.format(spec_url="/openapi.json")
    return Asset.of(page.encode(), "text/html", {"Content-Security-Policy": policy_for_page(page)})


def _event_schema() -> Asset:
    body = (files("schemas") / "published" / "message-event.schema.json").read_bytes()
    return Asset.of(body, "application/schema+json")


def document_routes() -> list[BaseRoute]:
    """/openapi.json, /docs and /schemas/message-event.json."""
    return [
        _route("/openapi.json", _openapi),
        _route("/docs", _docs),
        _route("/schemas/message-event.json", _event_schema),
    ]


def _route(path: str, make: Callable[[], Asset]) -> BaseRoute:
    asset = LazyAsset(make)

    async def answer(request: Request) -> Response:
        return (await asset.get()).respond(request)

    return Route(path, answer, methods=["GET"])
