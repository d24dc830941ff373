"""Numbers in the browser are those that the API has written, whatever their sign."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.answer import Answer, Groups, number
from api.negotiate import JSON
from api.params import Metric
from api.render import render
from api.window import Question, Window
from schemas.grain import Grain
from tests.support.modules import Modules, modules

ONE = 10**6
TEXTS = (
    *("999999999999.999999", "-999999999999.999999", "0.000001", "-0.000001", "0.5", "-0.5", "-1", "-1.5", "-12.05"),
    *("0", "-120", "1200", "-1234567.89", "1000000000000000000000.000001", "-1000000000000000000000.000001"),
)
READ = "texts => texts.map(decimal.parse)"
SHOWN = "texts => texts.map(text => decimal.format(decimal.parse(text)))"
ASKED = """async body => {
    globalThis.fetch = async () => new Response(body, { headers: { ETag: "x" } });
    return new client.Client("key").query({});
}"""


@pytest.fixture(scope="module")
def js(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return modules(tmp_path_factory.mktemp("modules"))


def text_of(shown: str) -> str:
    """A number as it is shown, as the API writes it."""
    return shown.replace(",", "").replace("−", "-")


def test_parsed_and_formatted_a_number_is_itself(js: Modules) -> None:
    assert [text_of(shown) for shown in js.run(SHOWN, TEXTS)] == list(TEXTS)
    assert js.run(SHOWN, ["-1234567.89", "-0.5", "1000"]) == ["−1,234,567.89", "−0.5", "1,000"]


@settings(max_examples=10, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(millionths=st.lists(st.integers(-(10**24), 10**24) | st.integers(-2 * ONE, 2 * ONE), max_size=200))
def test_every_number_that_the_api_can_write_is_read_and_shown_as_it_is(js: Modules, millionths: list[int]) -> None:
    texts = [bytes(number(Decimal(value).scaleb(-6))).decode() for value in millionths]
    assert [int(read) for read in js.run(READ, texts)] == millionths
    assert [text_of(shown) for shown in js.run(SHOWN, texts)] == texts


def test_zero_has_no_sign(js: Modules) -> None:
    assert js.run(SHOWN, ["0", "-0", "-0.0", "0.000000"]) == ["0"] * 4


@pytest.mark.parametrize(
    ("a", "b", "expected"), [(-1, 2, -0.5), (-1, -2, 0.5), (1, -2, -0.5), (0, -2, 0), (-1, 0, None)]
)
def test_a_ratio_and_a_coordinate_have_their_sign(js: Modules, a: int, b: int, expected: float | None) -> None:
    assert js.run("([a, b]) => decimal.ratio(BigInt(a), BigInt(b))", [a, b]) == expected
    assert js.run("text => decimal.toNumber(decimal.parse(text))", f"{a}.5") == a + (0.5 if a >= 0 else -0.5)


@pytest.mark.parametrize("grouped", [False, True], ids=["total", "grouped"])
def test_the_client_reads_what_the_api_writes(js: Modules, grouped: bool) -> None:
    hours = Window(Grain.HOUR, 0, (len(TEXTS) + 1) * 3600)
    question = Question(Metric.COST_CENTS, hours, "channel" if grouped else None, "prior_period")
    costs = {at: Decimal(text) for at, text in zip(hours.bucket_starts, TEXTS, strict=False)}
    groups: dict[int, Groups] = {at: [('"value":-1', cost)] for at, cost in costs.items()}  # a key is no number
    rows = groups if grouped else costs
    body, _ = render(Answer(question, hours, rows, {}, hours.end - 3600, 1000, None), JSON)
    buckets = js.run(ASKED, body.decode(), ("client",))["buckets"]
    if grouped:
        assert {group["key"] for bucket in buckets[:-1] for group in bucket["groups"]} == {'"value":-1'}
        values = [sum(int(group["value"]) for group in bucket["groups"]) for bucket in buckets[:-1]]
    else:
        values = [int(bucket["value"]) for bucket in buckets[:-1]]
    assert values == [int(Decimal(text).scaleb(6)) for text in TEXTS]
    assert buckets[-1]["groups" if grouped else "value"] is None
