"""Each dead letter is sent back on its own merits, and whatever ends a redrive, what the brokers have is noted."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli import redrive, spool
from deploy.cli.letters import Filter, Letter
from deploy.cli.redrive import PAGE_BYTES, pages, send_back, spooled
from deploy.cli.targets import Targets
from deploy.errors import CommandError, Refused, Unreachable
from pipeline.core.place import Place
from pipeline.kafka.raw_produce import RawRecord
from schemas.settings import read_settings
from tests.support.places import P3, TOPIC

SETTINGS = read_settings({})
OK, REFUSED_HERE, REFUSED_THERE, AWAY, SILENT, INTERRUPTED = "ok", "here", "there", "away", "silent", "interrupted"
OUTCOMES = (OK, REFUSED_HERE, REFUSED_THERE, AWAY, SILENT, INTERRUPTED)


PLAIN = Letter(
    P3, 0, 0, "too_large", "", "", "", "", 0, 0, 0, b"k", b"x", ((b"trace", b"\x00"), (b"null", None)), 0, False
)  # fmt: skip


def letter(offset: int, value: bytes | None = b"x", **changes: Any) -> Letter:
    return replace(PLAIN, offset=offset, value=value, **changes)


class FakeProducer:
    """A producer whose records end as they are told to; answers come with `poll`, as the driver's do."""

    def __init__(self, outcomes: Sequence[str]) -> None:
        self.outcomes, self.sent, self.topics = list(outcomes), list[Any](), list[str]()
        self.config: dict[str, Any] = {}
        self.now = 0.0
        self._waiting: list[tuple[str, Callable[..., None]]] = []

    def __call__(self, config: dict[str, Any]) -> "FakeProducer":
        self.config = config
        return self

    def produce(self, topic: str, value: bytes, key: bytes, headers: Any, on_delivery: Callable[..., None]) -> None:
        outcome = self.outcomes[int(dict(headers)["msgmetrics-redriven"].rsplit(b"/", 1)[1])]
        if outcome == REFUSED_HERE:
            raise KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
        if outcome == INTERRUPTED:
            raise KeyboardInterrupt
        self.sent.append(headers)
        self.topics.append(topic)
        self._waiting.append((outcome, on_delivery))

    def poll(self, seconds: float) -> None:
        self.now += seconds
        waiting, self._waiting = self._waiting, []
        for outcome, answer in waiting:
            match outcome:
                case "ok":
                    answer(None, None)
                case "there":
                    answer(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), None)
                case "away":
                    answer(KafkaError(KafkaError._MSG_TIMED_OUT), None)
                case _:
                    self._waiting.append((outcome, answer))

    def purge(self, *, in_flight: bool) -> None:
        assert not in_flight, "what is under way may arrive"

    def __len__(self) -> int:
        return len(self._waiting)


@dataclass
class FakeStore:
    """A store that keeps what is noted."""

    noted: list[int]
    topics: list[str]
    cluster_id: str = "c"

    def insert(self, doing: str, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        assert (table, list(names)) == ("redrives", ["cluster_id", "topic", "partition", "offset", "incarnation"])
        assert {(row[0], row[2]) for row in rows} == {("c", 3)}
        self.noted += [row[3] for row in rows]
        self.topics += [row[1] for row in rows]


@dataclass
class Done:
    noted: list[int]
    topics: list[str]
    said: str
    error: BaseException | None
    producer: FakeProducer


HERE = Targets(frozenset({TOPIC}), frozenset({TOPIC}))


def run(
    outcomes: Sequence[str], letters: Sequence[Letter] | None = None, targets: Targets = HERE, **options: bool
) -> Done:
    """Redrive letters that end as told, in pages of three."""
    producer, store, said = FakeProducer(outcomes), FakeStore([], []), list[str]()
    error: BaseException | None = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redrive, "Producer", producer)
        patch.setattr(redrive, "PAGE_LETTERS", 3)
        patch.setattr(redrive, "read_letters", lambda *_: iter(letters or [letter(n) for n in range(len(outcomes))]))
        try:
            tell: Callable[..., None] = lambda *lines: said.append("\n".join(lines))  # noqa: E731
            asked = {"again": False, "dry_run": False, **options}
            send_back(store, SETTINGS, Filter(), targets, tell=tell, clock=lambda: producer.now, **asked)  # type: ignore[arg-type]
        except (CommandError, KeyboardInterrupt) as raised:
            error = raised
    assert len(said) == 1, "one sentence whatever happens"
    return Done(store.noted, store.topics, said[0], error, producer)


@given(st.lists(st.sampled_from((OK, REFUSED_HERE, REFUSED_THERE)), min_size=1))
def test_what_kafka_does_not_take_is_left_and_named_and_all_else_is_sent_and_noted(outcomes: list[str]) -> None:
    done = run(outcomes)
    good = [n for n, outcome in enumerate(outcomes) if outcome == OK]
    bad = [n for n in range(len(outcomes)) if n not in good]
    assert sorted(done.noted) == good
    assert done.said.startswith(f"{len(good)} dead letters sent back")
    assert (f"{len(bad)} that Kafka does not take" in done.said) == bool(bad)
    if not bad:
        assert done.error is None
        return
    assert type(done.error) is CommandError, "exit code 1"
    named = [line for line in str(done.error).split("\n") if line.startswith(TOPIC)]
    assert {line.split()[0] for line in named} <= {f"{TOPIC}/3/{n}" for n in bad}
    assert len(named) == min(len(bad), redrive.SHOWN)
    assert all("too large" in line and "max.message.bytes" in line for line in named)


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=12))
def test_whatever_ends_a_redrive_what_the_brokers_have_is_noted_once(outcomes: list[str]) -> None:
    done = run(outcomes)
    ends = [n for n, outcome in enumerate(outcomes) if outcome in (AWAY, SILENT, INTERRUPTED)]
    if ends and outcomes[first := ends[0]] == INTERRUPTED:
        reached = range(first)
    elif ends:
        page = range(first - first % 3, min(first - first % 3 + 3, len(outcomes)))
        interrupted = [n for n in page if outcomes[n] == INTERRUPTED]
        reached = range(interrupted[0] if interrupted else page.stop)
    else:
        reached = range(len(outcomes))
    assert sorted(done.noted) == [n for n in reached if outcomes[n] == OK]
    assert done.said.startswith(f"{len(done.noted)} dead letters sent back")
    if ends and INTERRUPTED not in [outcomes[n] for n in range(ends[0], min(len(outcomes), ends[0] // 3 * 3 + 3))]:
        assert isinstance(done.error, Unreachable)
        assert "run it again" in str(done.error)


def test_records_are_sent_one_a_batch_up_to_what_brokers_take() -> None:
    config = run([OK]).producer.config
    assert config["batch.num.messages"] == 1, "a broker refuses a whole batch"
    assert 1_048_588 < config["message.max.bytes"] < 104_857_600
    assert config["enable.idempotence"] is True


def test_a_letter_goes_back_as_it_was_with_one_mark() -> None:
    marked = letter(0, headers=((b"a", b"1"), (b"msgmetrics-redriven", b"old"), (b"a", None)))
    (headers,) = run([OK], [marked], again=True).producer.sent
    assert headers == [("a", b"1"), ("a", None), ("msgmetrics-redriven", f"{TOPIC}/3/0".encode())]


def test_letters_that_need_nothing_are_left_alone_and_counted() -> None:
    letters = [
        letter(0, is_resolved=True),
        letter(1, redrives=2),
        letter(2, headers=((b"msgmetrics-redriven", b"t/0/0"),)),
        letter(3),
    ]
    done = run([OK] * 4, letters)
    assert done.noted == [3]
    assert "1 whose event is counted by now, 1 that were sent back before, 1 that are records" in done.said
    assert run([OK] * 4, letters, again=True).noted == [1, 2, 3]
    dry = run([OK] * 4, letters, dry_run=True)
    assert (dry.noted, dry.producer.sent, dry.said[:28]) == ([], [], "1 dead letters would be sent")


def test_what_is_no_record_is_left_alone_whoever_asks() -> None:
    letters = [letter(0, reason="unreadable_record"), letter(1)]
    done = run([OK] * 2, letters, again=True)
    assert done.noted == [1]
    assert "left alone: 1 that are no records, 0 whose" in done.said


@pytest.mark.parametrize(("code", "noted"), [(0, [0, 1]), (10, [0])])
def test_a_letter_with_odd_headers_goes_to_where_it_came_from(
    code: int, noted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[RawRecord] = []

    async def produce_raw(settings: Any, records: Sequence[RawRecord]) -> list[int]:
        sent.extend(records)
        return [code] * len(records)

    monkeypatch.setattr(redrive, "produce_raw", produce_raw)
    done = run([OK, OK], [letter(0), letter(1, headers=((b"\xff", None),))])
    assert sorted(done.noted) == noted
    ((record),) = sent
    assert (record.place, record.headers) == (
        P3,
        [(b"\xff", None), (b"msgmetrics-redriven", f"{TOPIC}/3/1".encode())],
    )
    assert ("that Kafka does not take" in done.said) == bool(code)


MANY = Targets(frozenset({TOPIC, "b", "gone"}), frozenset({TOPIC, "b", "old"}))
"""`old` exists and is not read, `gone` is read and does not exist."""


def of(topic: str, offset: int, **changes: Any) -> Letter:
    return letter(offset, place=Place(topic, 3), **changes)


def test_a_letter_goes_to_its_own_topic_and_is_left_where_that_is_not_read_or_does_not_exist() -> None:
    letters = [of("b", 0), letter(1), of("old", 2), of("gone", 3), of("old", 4), of("old", 5, redrives=1)]
    done = run([OK] * 6, letters, MANY)
    assert done.producer.topics == ["b", TOPIC]
    assert "letters of a topic on the list were left" in str(done.error), "exit code 1"
    assert sorted(zip(done.topics, done.noted, strict=True)) == [("b", 0), (TOPIC, 1)]
    first, gone, old = done.said.split("\n")
    assert first.startswith("2 dead letters sent back; left alone: 3 that have no topic to go to, 0 whose")
    assert gone == "1 of gone, which does not exist, or may not be seen; --to-topic sends them to another topic"
    assert old == "2 of old, which is not read (MSGMETRICS_KAFKA_TOPIC); --to-topic sends them to another topic"
    dry = run([OK] * 6, letters, MANY, dry_run=True)
    assert (dry.noted, dry.said.split("\n")[1:]) == ([], [gone, old])


def test_letters_of_any_topic_go_to_the_one_that_is_named_and_are_noted_as_what_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[RawRecord] = []

    async def produce_raw(settings: Any, records: Sequence[RawRecord]) -> list[int]:
        sent.extend(records)
        return [0] * len(records)

    monkeypatch.setattr(redrive, "produce_raw", produce_raw)
    odd = of("gone", 2, headers=((b"\xff", None),))
    done = run([OK] * 3, [of("old", 0), letter(1), odd], replace(MANY, to="b"))
    assert (done.producer.topics, [record.place for record in sent]) == (["b", "b"], [Place("b", 3)])
    assert sorted(zip(done.topics, done.noted, strict=True)) == [("gone", 2), (TOPIC, 1), ("old", 0)]
    assert [dict(headers)["msgmetrics-redriven"] for headers in done.producer.sent] == [
        b"old/3/0",
        f"{TOPIC}/3/1".encode(),
    ]
    assert "\n" not in done.said


@given(st.lists(st.none() | st.binary(max_size=50)))
def test_letters_come_out_of_the_temporary_file_as_they_were(values: list[bytes | None]) -> None:
    letters = [letter(n, value, detail="\x1b…", redrives=n) for n, value in enumerate(values)]
    assert list(spooled(iter(letters))) == letters


def test_a_full_disk_leaves_all_letters_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MEMORY_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", "/no/such/directory")
    done = run([OK] * 3, [letter(n, os.urandom(1 << 20)) for n in range(3)])
    assert (type(done.error), done.noted, done.producer.sent) == (Refused, [], [])
    assert "nothing was sent; TMPDIR" in str(done.error)


def test_all_letters_are_read_before_one_is_given() -> None:
    given_out: list[int] = []

    def read() -> Iterator[Letter]:
        for n in range(3):
            assert not given_out
            yield letter(n)

    for found in spooled(read()):
        given_out.append(found.offset)
    assert given_out == [0, 1, 2]


def test_pages_are_bounded_by_number_and_by_bytes() -> None:
    large = letter(0, b"x" * (PAGE_BYTES // 2))
    assert [len(page) for page in pages([large, large, large, letter(1)])] == [2, 2]
    assert [len(page) for page in pages([letter(n) for n in range(2_500)])] == [1_000, 1_000, 500]
    assert list(pages([])) == []
