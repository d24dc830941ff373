"""The dashboard's sums, words and traces where costs and credits meet: no share, bar or word that lies."""

from typing import Any

import pytest

from tests.support.modules import Modules, modules

ALL = ("decimal", "summary", "words", "traces")
MANY = 201
"""Buckets: more than are drawn as bars."""
ANSWER = """const answer = ({ values, prior = values.map(() => 0), groups = null }) => {
    const parsed = one => (one === null ? null : BigInt(one) * 1000000n);
    const bucket = (one, n) => ({ start: n * 3600000, value: parsed(one) });
    const grouped = (one, n) => ({ start: n * 3600000,
        groups: one && Object.entries(one).map(([key, value]) => ({ key, value: parsed(value) })) });
    const plain = { from: 0, to: values.length * 3600000, granularity: "hour",
        buckets: values.map(bucket), prior: prior.map(bucket) };
    return groups ? { ...plain, buckets: groups.map(grouped), prior: values.map(() => ({ groups: [] })) } : plain;
};"""
CHANGED = "([metric, now, before]) => words.changeWords(metric, summary.change(BigInt(now), BigInt(before)))"
EMPTY = "given => { " + ANSWER + " return summary.isEmpty(answer(given)); }"
RANKED = "given => { " + ANSWER + " return summary.ranking(answer(given)); }"
SERIES = "given => { " + ANSWER + " return summary.seriesByKey(answer(given)); }"
SENTENCE = """([metric, now, before, isBalance]) => {
    const sums = [now, before].map(one => BigInt(one) * 1000000n);
    return words.sumsSentence(metric, ...sums, isBalance).replaceAll("\\u00a0", " ");
}"""
DRAWN = (
    "given => { "
    + ANSWER
    + """
    const group = given.groups ? "channel" : "total";
    const shown = { answer: answer(given), metric: given.metric ?? "cost_cents", group, granularity: "hour" };
    shown.corrected = new Map();
    shown.total = group === "total" ? shown.answer : summary.totalOf(shown.answer);
    const palette = { series: ["a", "b", "c", "d", "e", "f", "g", "h"], cost_cents: "z", muted: "m" };
    const axis = traces.layoutOf(shown, palette, { fine: true, narrow: false }).yaxis;
    return [traces.tracesOf(shown, palette), axis];
}"""
)


@pytest.fixture(scope="module")
def js(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return modules(tmp_path_factory.mktemp("modules"))


@pytest.mark.parametrize(
    ("metric", "now", "before", "sign", "text"),
    [
        ("sent", 15, 10, 1, "▲ 50 % more"),
        ("cost_cents", 0, 10, -1, "▼ 100 % less"),
        ("cost_cents", 10_000_000, -5_000_000, 1, "▲ 15 ¢ higher"),
        ("cost_cents", -5_500_000, 10_000_000, -1, "▼ 15.5 ¢ lower"),
        ("cost_cents", -5_000_000, -10_000_000, 1, "▲ 5 ¢ higher"),
        ("cost_cents", 0, -10_000_000, 1, "▲ 10 ¢ higher"),
        ("cost_cents", -10, -10, 0, "the same as before"),
        ("cost_cents", 5, 0, 1, "new: the cost was 0 in the prior period"),
        ("cost_cents", -5, 0, -1, "new: the cost was 0 in the prior period"),
        ("cost_cents", 0, 0, 0, "the cost was 0 in either period"),
    ],
)
def test_a_change_is_a_percentage_where_neither_side_is_below_zero(
    js: Modules, metric: str, now: int, before: int, sign: int, text: str
) -> None:
    found = js.run(CHANGED, [metric, now, before])
    assert (found["sign"], found["text"].replace("\u00a0", " ")) == (sign, text)


@pytest.mark.parametrize(
    ("given", "is_empty"),
    [
        ({"values": [0, 0, None]}, True),
        ({"values": [5, -5, None]}, False),
        ({"values": [0, 0], "prior": [-5, 5]}, False),
        ({"values": [0, None], "prior": [0, 5]}, True),  # that bucket is not complete on both sides
        ({"values": [0, 0], "groups": [{}, {}]}, True),
        ({"values": [0, 0], "groups": [{"sms": 5, "email": -5}, {}]}, False),
        ({"values": [None], "groups": [None]}, True),
    ],
)
def test_what_adds_up_to_zero_is_not_nothing(js: Modules, given: dict[str, Any], is_empty: bool) -> None:
    assert js.run(EMPTY, given) is is_empty


@pytest.mark.parametrize(
    ("group", "shares"),
    [
        ({"a": 3, "b": 1}, [("a", 0.75), ("b", 0.25)]),
        ({"a": 3, "b": -1}, [("a", None), ("b", None)]),
        ({"a": 3, "b": -3}, [("a", None), ("b", None)]),
        ({"a": -3, "b": -1}, [("b", 0.25), ("a", 0.75)]),
    ],
)
def test_amounts_of_different_signs_have_no_shares(js: Modules, group: dict[str, int], shares: list[Any]) -> None:
    assert [(line["key"], line["share"]) for line in js.run(RANKED, {"values": [0], "groups": [group]})] == shares


def test_the_keys_with_names_are_those_in_which_most_moves(js: Modules) -> None:
    """A channel whose costs and credits cancel out is busier than one with a small cost."""
    busy: dict[str, int] = {f"small-{n}": n + 1 for n in range(9)}
    groups = [{**busy, "cancelling": 1000, "credited": -500}, {"cancelling": -1000}]
    names = [one["key"] for one in js.run(SERIES, {"values": [0, 0], "groups": groups})]
    assert names == ["cancelling", "credited", "small-8", "small-7", "small-6", "small-5", "small-4", "__other__"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["sent", 12, 10, False], "12 sent, against 10 in the prior period."),
        (["cost_cents", 12, 10, False], "12 ¢ charged, against 10 ¢ in the prior period."),
        (["cost_cents", -5, 10, True], "On balance 5 ¢ credited, against 10 ¢ charged in the prior period."),
        (["cost_cents", 0, -10, True], "On balance 0 ¢ charged, against 10 ¢ credited in the prior period."),
    ],
)
def test_a_sum_below_zero_is_told_as_a_credit(js: Modules, given: list[Any], sentence: str) -> None:
    assert js.run(SENTENCE, given) == sentence


def drawn(js: Modules, given: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Traces but for the prior period and what is pending, and the axis."""
    found, axis = js.run(DRAWN, given, ALL)
    return [one for one in found if one["name"] not in ("prior period", "pending")], axis


def test_many_buckets_with_both_signs_are_two_stacks_that_never_add_up(js: Modules) -> None:
    known = [5 if n % 2 else -3 for n in range(MANY - 1)]
    (above, below), axis = drawn(js, {"values": [*known, None]})
    assert (above["stackgroup"], below["stackgroup"]) == ("now", "credits")
    assert [max(value, 0) for value in known] == above["y"]
    assert [min(value, 0) for value in known] == below["y"]
    assert (above["customdata"], above["hovertemplate"]) == (known, "%{customdata:,.6~f} ¢")
    assert (below["hoverinfo"], "hovertemplate" in below) == ("skip", False)
    assert (axis["zeroline"], axis["zerolinecolor"]) == (True, "m")


def test_many_buckets_by_group_are_stacked_up_and_down(js: Modules) -> None:
    groups = [{"up": 5, "down": -3, "both": n % 3 - 1} for n in range(MANY)]
    found, _ = drawn(js, {"values": [0] * MANY, "groups": groups})
    stacks = [(one["name"], one["stackgroup"], one.get("hoverinfo")) for one in found]
    assert stacks == [
        *[("up", "now", None), ("down", "credits", None)],
        *[("both", "now", None), ("both", "credits", "skip")],
    ]
    assert all(min(one["y"]) >= 0 if one["stackgroup"] == "now" else max(one["y"]) <= 0 for one in found)


def test_few_buckets_are_bars_with_their_sign(js: Modules) -> None:
    (bar,), axis = drawn(js, {"values": [5, -3, None]})
    assert (bar["type"], bar["y"], axis["zeroline"]) == ("bar", [5, -3, None], True)


def test_without_credits_there_is_one_stack_and_no_line_at_zero(js: Modules) -> None:
    (area,), axis = drawn(js, {"values": [5] * MANY})
    assert (area["stackgroup"], area["hovertemplate"], axis["zeroline"]) == ("now", "%{y:,.6~f} ¢", False)


def test_a_large_credit_has_short_ticks_and_a_stack_of_small_counts_its_whole_height(js: Modules) -> None:
    assert drawn(js, {"values": [-20_000, 1]})[1]["tickformat"] == "~s"
    groups = [{"sms": 4, "email": 4}]
    assert "range" not in drawn(js, {"values": [0], "groups": groups, "metric": "sent"})[1]  # 4.4 would cut it off
    assert drawn(js, {"values": [0], "groups": [{"sms": 1, "email": 2}], "metric": "sent"})[1]["range"][1] > 3
