"""The documents without a running system: links, completeness, spelling, and what is not run."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from api import errors
from api.params import PARSERS
from pipeline.core.broker_clocks import BrokerClocks
from pipeline.core.clocks import Clocks, Moment
from pipeline.core.event import decode_event
from pipeline.core.opening import decode_record
from pipeline.worker.health import Health
from schemas.message_event import DeadLetterReason, MessageEvent
from schemas.tiers import Tier
from tests.docs.blocks import ANSWERS, RUN, anchors, blocks, documents, links, read
from tests.support.commands import COMMANDS
from tests.support.moments import at, reading
from tests.support.places import P0

NOT_RUN = {
    ("README.md", "it starts what this document is tested on"),
    ("docs/operators.md", "it needs an empty ClickHouse; tests/integration/test_backup.py runs it"),
    ("docs/operators.md", "both run until SIGTERM; the system that this guide is tested on is made of them"),
    (
        "docs/operators.md",
        "it needs a log that has lost records; tests/integration/test_unreadable.py runs it",
    ),
    ("docs/operators.md", "the second topic is yours"),
    ("docs/operators.md", "docs/money.md plays them"),
    ("docs/operators.md", "it needs a restored database; tests/integration/test_backup.py runs it"),
    ("docs/operators.md", "nothing is stated here; tests/integration/test_statements.py runs it"),
    (
        "docs/operators.md",
        "the topic must be out of every worker's list; tests/integration/test_topics.py runs it",
    ),
}
LINKED = [*documents(), "pipeline/README.md", "deploy/README.md", "deploy/UPGRADING.md", "tests/faults/README.md"]
AMERICAN = re.compile(
    r"\b\w*(color|behavior|center|catalog\b|labeled|cancel(ed|ing)|favor|yze|[^s]ynchroniz|ecogniz)\w*"
)


@pytest.mark.parametrize("document", documents())
def test_a_block_is_run_or_an_answer_or_says_why_not(document: str) -> None:
    for block in blocks(document):
        known = block.is_run or block.not_run or (block.is_answer and block.language in ANSWERS)
        assert known or (block.language, block.words.strip()) in {
            ("text", ""),
            ("json", "event"),
            ("json", "record"),
        }, block.place
        assert block.language in {*RUN, *ANSWERS}, block.place


def test_what_is_not_run_is_on_the_list() -> None:
    found = [(d, block.not_run) for d in documents() for block in blocks(d) if block.not_run]
    assert sorted(found) == sorted(NOT_RUN)


@pytest.mark.parametrize("document", LINKED)
def test_every_link_leads_somewhere(document: str) -> None:
    for path, anchor in links(document):
        assert path.exists(), f"{document}: {path} is not there"
        assert not anchor or anchor in anchors(path), f"{document}: {path.name} has no heading #{anchor}"


def test_events_that_are_shown_are_events() -> None:
    shown = [block for d in documents() for block in blocks(d) if block.words.strip() == "event"]
    assert shown
    for block in shown:
        decode_event(block.text.encode())


def test_records_that_are_shown_hold_events() -> None:
    shown = [block for d in documents() for block in blocks(d) if block.words.strip() == "record"]
    assert shown
    for block in shown:
        decode_record(block.text.encode(), (), None)


def test_the_two_records_of_a_switch_are_one_event() -> None:
    shown = blocks("docs/envelopes.md")
    plain = next(at for at, block in enumerate(shown) if block.words.strip() == "event")
    events = [decode_record(block.text.encode(), (), None)[0] for block in shown[plain : plain + 2]]
    assert len({(e.event_id, e.type, e.org_id, e.channel, e.occurred_at) for e in events}) == 1


def test_the_producers_guide_has_every_field_and_every_reason() -> None:
    text = read("docs/producers.md")
    for name in (*MessageEvent.__struct_fields__, *DeadLetterReason):
        assert f"\n| `{name}` |" in text, name


def test_the_clients_guide_has_every_parameter_tier_and_error() -> None:
    text = read("docs/clients.md")
    for name in (*PARSERS, *Tier):
        assert f"`{name}`" in text, name
    rows = dict(re.findall(r"^\| \d{3} \| `([A-Z_]+)` \|()", text, re.MULTILINE))
    kinds = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, errors.ApiError)]
    assert set(rows) == {kind.code for kind in kinds} | {"BAD_REQUEST"}
    for kind in kinds:
        assert f"\n| {kind.status} | `{kind.code}` |" in text, kind


@pytest.mark.parametrize("words", COMMANDS)
def test_the_operators_guide_has_an_example_of_every_command(words: str) -> None:
    shown = [block.text for block in blocks("docs/operators.md") if block.language == "sh"]
    assert words == "dev" or any(re.search(rf"msgmetrics {words}\b", text) for text in shown)


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_with_arguments_has_an_example_that_is_a_call(words: str) -> None:
    command = COMMANDS[words]
    if not command.params:
        return
    lines = [line.strip() for line in (command.help or "").splitlines()]
    examples = [shlex.split(line)[1:] for line in lines if line.startswith(f"msgmetrics {words}")]
    assert examples, f"msgmetrics {words} --help has no example"
    for example in examples:
        command.make_context(words, example[len(words.split()) :])


def _reasons() -> Iterator[str]:
    def health(**what: Any) -> Health:
        return Health(lateness_seconds=1, **({"as_of_ms": 10**6} | what))

    now_ms = 10**6
    for peer in ("sink", "kafka"):
        failing, silent = health(), health()
        getattr(failing, peer).outcome(OSError("refused"), now_ms - 60_000)
        yield from failing.reasons(now_ms)
        with getattr(silent, peer).asked(lambda: now_ms - 60_000):
            yield from silent.reasons(now_ms)
    for durable in ({}, {P0: 5}):
        standing = health()
        standing.partitions(frozenset({P0}), durable, {P0: 9}, now_ms - 60_000)
        standing.partitions(frozenset({P0}), durable, {P0: 9}, now_ms - 60_000)
        yield from standing.reasons(now_ms)
    flooded = health()
    flooded.counted(0, 1000, now_ms)
    yield from flooded.reasons(now_ms)
    yield from health(as_of_ms=0).reasons(now_ms)
    yield from health(as_of_ms=1).reasons(now_ms)
    yield from _doubts()
    yield from health(broker_clocks=_ahead()).reasons(now_ms)
    yield from health(missing={"t-1": now_ms - 60_000}, history={"t-2": 7}).reasons(now_ms)


def _doubts() -> Iterator[str]:
    new, set_by_hand, ahead = Clocks(), Clocks(), Clocks()
    yield str(new.problem(at(1000)))
    set_by_hand.note(reading(1000))
    yield str(set_by_hand.problem(Moment(3_601_000, 1000)))
    ahead.note(reading(1000, 3_601_000))
    yield str(ahead.problem(at(3_601_000)))


def _ahead() -> BrokerClocks:
    clocks, now_ms = BrokerClocks(), 10**6
    clocks.had_nothing(3, P0, 7, now_ms)
    clocks.appended(3, P0, 7, now_ms + 3_600_000, at(now_ms))
    return clocks


def test_the_operators_guide_explains_every_reason_for_not_being_ready() -> None:
    text = read("docs/operators.md")
    rows = re.findall(r"^\| `([^`]+)` \| (?:ClickHouse|brokers|a |it |nothing|the |aggregation)", text, re.MULTILINE)
    numbers = [re.sub(r"\b[NMO]\b", r"[\\d.]+", re.escape(row).replace("…", ".*")) for row in rows]
    patterns = [re.sub(r"\b[PT]\b", r"[\\w./-]+", number) for number in numbers]
    reasons = list(_reasons())
    assert len(reasons) == 15
    for reason in reasons:
        assert any(re.fullmatch(pattern + ".*", reason) for pattern in patterns), reason


def test_spelling_is_british() -> None:
    texts = {d: read(d) for d in LINKED} | {words: command.help or "" for words, command in COMMANDS.items()}
    for name, text in texts.items():
        found = AMERICAN.search(re.sub(r"`[^`]*`|```.*?```", "", text, flags=re.DOTALL).lower())
        assert found is None, f"{name}: {found and found[0]}"
