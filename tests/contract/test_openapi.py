"""The published description of the API is valid, and what the API answers is what it says."""

import re
from typing import Any

import pytest
import schemathesis
from clickhouse_connect.driver.client import Client
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import validate
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient

from api.app import create_app
from api.metrics import REGISTRY
from api.openapi import openapi
from api.params import PARSERS
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from schemas.tiers import Tier
from tests.support.endpoint import NOW, PATH, validator

CONFORMANCE = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
EXAMPLES = 150
ORIGIN = "https://app.example.com"
ANSWERED = (
    {"metric": "sent"},
    {"metric": "cost_cents", "group_by": "channel", "compare_to": "prior_period"},
    {"metric": "failed", "granularity": "day", "limit": 1},
)


@pytest.fixture
def keys(client: Client) -> dict[str, str | None]:
    """A good key, one without the scope, and none."""
    set_tier(client, "a", Tier.SCALE)
    return {
        "good": create_key(client, "a", ("metrics:read",), None, NOW),
        "unscoped": create_key(client, "a", ("other:thing",), None, NOW),
        "none": None,
    }


def test_the_document_is_valid_openapi() -> None:
    validate(openapi())


def test_the_document_lists_the_parameters_that_are_understood() -> None:
    operation = openapi()["paths"][PATH]["get"]
    assert {p["name"] for p in operation["parameters"] if p["in"] == "query"} == set(PARSERS)


@pytest.mark.parametrize(
    "status", ["200", *sorted({"401", "403", "404", "405", "413", "414", "422", "429", "500", "503"})]
)
def test_every_example_matches_its_schema(status: str) -> None:
    examples = openapi()["paths"][PATH]["get"]["responses"][status]["content"]["application/json"]["examples"]
    assert examples
    for example in examples.values():
        validator(int(status)).validate(example["value"])


@pytest.mark.parametrize("origins", [(), (ORIGIN,)], ids=["without origins", "with origins"])
@pytest.mark.parametrize("which", ["good", "unscoped", "none"])
def test_schemathesis_finds_nothing(
    url: str, keys: dict[str, str | None], which: str, origins: tuple[str, ...]
) -> None:
    """On a clock that stands still: what is asked twice is read the first time, and cached the second."""
    app = create_app(Reader(url), lambda: int(NOW.timestamp() * 1000), lambda: 0.0, origins)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    key = keys[which]
    headers = {"Authorization": f"Bearer {key}" if key else "", **({"Origin": ORIGIN} if origins else {})}
    before = cached()

    for operation in schema.get_all_operations():
        check_operation(operation.ok(), headers)  # type: ignore[union-attr]
    assert (cached() > before) == (which == "good")


def cached() -> float:
    return REGISTRY.get_sample_value("msgmetrics_api_answers_total", {"from": "cache"}) or 0.0


def check_operation(operation: Any, headers: dict[str, str]) -> None:
    """Call the app with questions that have an answer, and with generated ones, most of which it refuses."""

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
    @given(case=operation.as_strategy())
    def check(case: Any) -> None:
        check_case(case, headers)

    for query in ANSWERED:
        check_case(operation.Case(query=query), headers)
    check()


def check_case(case: Any, headers: dict[str, str]) -> None:
    """Ask twice, and hold both answers against the document."""
    first, again = (case.call(headers=headers) for _ in range(2))
    for response in (first, again):
        case.validate_response(response, checks=CONFORMANCE)
    assert again.status_code == first.status_code
    assert again.content == first.content or first.status_code != 200  # a refusal has an id of its own


def test_the_docs_page_works_without_the_internet(http: TestClient) -> None:
    page = http.get("/docs")
    assert page.status_code == 200
    assert "/openapi.json" in page.text
    assert not re.search(r'(src|href)="(https?:)?//', page.text)
