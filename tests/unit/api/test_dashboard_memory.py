"""The page says which buckets were corrected since it first read them."""

import pytest

from tests.support.modules import Modules, modules

STORY = """answers => {
    const kept = new memory.Memory();
    const answer = ([at, granularity, ...values]) => ({
        granularity,
        answeredAt: at,
        buckets: values.map((value, start) => ({ start, value: value === null ? null : BigInt(value) })),
    });
    return answers.map(([metric, ...of]) => [...kept.corrected(metric, answer(of))]);
}"""


@pytest.fixture(scope="module")
def js(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return modules(tmp_path_factory.mktemp("modules"))


def test_a_bucket_is_corrected_when_it_is_other_than_when_it_was_first_complete(js: Modules) -> None:
    answers = [
        ("sent", 10, "hour", 4, None, 0),
        ("sent", 20, "hour", 4, 7, 0),
        ("sent", 30, "hour", 5, 7, 1),
        ("sent", 40, "hour", 6, 7, 0),
        ("sent", 50, "day", 9, 9, 9),
        ("failed", 50, "hour", 9, 9, 9),
    ]
    first, bucket_two = [0, {"before": "4", "at": 10}], [2, {"before": "0", "at": 10}]
    found = js.run(STORY, answers, ("memory",))
    assert found == [[], [], [first, bucket_two], [first], [], []], "a pending bucket is no number that changes"


def test_what_is_on_the_page_is_not_forgotten(js: Modules) -> None:
    """However many other buckets were read before."""
    function = """() => {
        const kept = new memory.Memory();
        const read = (from, value) => kept.corrected("sent", {
            granularity: "minute", answeredAt: 0,
            buckets: Array.from({ length: 10_000 }, (_, i) => ({ start: from + i, value: from + i ? 1n : value })),
        });
        return [[0, 1n], [10_000, 1n], [0, 2n], [20_000, 1n], [0, 2n], [30_000, 1n], [40_000, 1n], [0, 2n]]
            .map(([from, value]) => read(from, value).size);
    }"""
    assert js.run(function, [], ("memory",)) == [0, 0, 1, 0, 1, 0, 0, 0]


def test_it_says_how_many_there_are_and_what_they_were(js: Modules) -> None:
    function = """() => [
        words.correctedSentence({ corrected: new Map(), granularity: "hour" }),
        words.correctedSentence({ corrected: new Map([[1, { at: 86_400_000 }], [2, { at: 0 }]]), granularity: "hour" }),
        words.beforeWords("cost_cents", { before: -500000n, at: 3_600_000 }),
    ]"""
    assert js.run(function) == ["", " 2 hours corrected since 1 Jan, 00:00 UTC.", "was −0.5\u00a0¢ on 1 Jan, 01:00 UTC"]
