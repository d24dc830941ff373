"""``produce`` sends exactly the events that it has checked, or nothing."""

import gzip
import os
import resource
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import zstandard
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.cli import event_check, spool
from deploy.cli.targets import topic_to_send_to
from deploy.errors import CommandError, Refused, Usage
from schemas.settings import Settings
from tests.support.producing import NOW_MS, FakeProducer, event, produce

TOO_LATE, IN_FUTURE = "2020-01-01T00:00:00Z", "2026-05-05T12:05:01Z"

zstd = zstandard.ZstdCompressor(write_checksum=True).compress  # as the program zstd does; gzip always has one
PACK: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


@contextmanager
def handed_on(content: bytes, way: str, suffix: str) -> Iterator[str]:
    """The content as a name that can be read: that of a file, a pipe or standard input."""
    with TemporaryDirectory() as directory, ThreadPoolExecutor(1) as pool:
        path = Path(directory) / f"events{suffix}"
        if way == "file":
            path.write_bytes(content)
            yield str(path)
            return
        os.mkfifo(path)
        written = pool.submit(_write, path, content)
        if way == "pipe":
            yield str(path)
        else:
            before, sys.stdin = sys.stdin, path.open()
            try:
                yield "-"
            finally:
                sys.stdin.close()
                sys.stdin = before
        written.result()


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except BrokenPipeError:
        return  # what it has read has been enough to refuse it


@settings(max_examples=200)
@given(
    members=st.lists(st.integers(0, 30), min_size=1, max_size=3),
    suffix=st.sampled_from([*PACK]),
    shown=st.booleans(),
    way=st.sampled_from(["file", "pipe", "standard input"]),
    damage=st.sampled_from(["none", "cut", "flip"]),
    data=st.data(),
)
def test_all_lines_are_sent_or_none(
    where: Settings, members: list[int], suffix: str, shown: bool, way: str, damage: str, data: st.DataObject
) -> None:
    packed = [PACK[suffix](b"".join(event(n) + b"\n" for n in range(count))) for count in members]
    lines = [event(n) for count in members for n in range(count)]
    content = b"".join(packed)
    if damage == "cut":
        place = data.draw(st.integers(0, len(content)))
        assume(not suffix or place not in {len(b"".join(packed[:n])) for n in range(1, len(packed))})
        content = content[:place]
    elif damage == "flip" and content:
        place, bit = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(0, 7))
        content = content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]
    if not suffix:  # nothing can show that such a file was damaged: its lines are what they are
        lines = [line.strip() for line in content.split(b"\n") if line.strip()]
    producer = FakeProducer()
    with handed_on(content, way, suffix if shown else "") as name:
        try:
            said = produce(where, name, producer)
        except CommandError:
            said = ""
    if said or (damage == "none" and lines):
        assert said == f"{len(lines)} events sent to message-events"
        assert producer.sent == lines
    else:
        assert producer.sent == []


def test_a_file_that_grows_while_it_is_sent_is_sent_as_it_was_checked(where: Settings, file: Path) -> None:
    def grow(_: bytes) -> None:
        with file.open("ab") as sink:
            sink.write(b"\nnot checked")

    producer = FakeProducer(grow)
    assert produce(where, file, producer) == "10 events sent to message-events"
    assert producer.sent == [event(n) for n in range(10)]
    assert producer.keys == [f"o{n % 3}" for n in range(10)]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n\r\n", gzip.compress(b""), zstd(b"\n")],
    ids=["no bytes", "blank lines", "gzip of nothing", "zstd of a blank line"],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_a_file_without_events_is_said_to_have_none(where: Settings, file: Path, content: bytes, dry_run: bool) -> None:
    file.write_bytes(content)
    with pytest.raises(CommandError, match="events' has no events; nothing was sent"):
        produce(where, file, dry_run=dry_run)


def test_a_line_without_end_is_named_and_those_behind_it_are_read(where: Settings, file: Path) -> None:
    file.write_bytes(b"\n".join([event(1), b" " * (1 << 20), b"{}", event(2)]))
    with pytest.raises(CommandError) as refused:
        produce(where, file)
    assert str(refused.value).splitlines() == [
        "line 2: too_large: the line is longer than 131072 bytes; an event has at most 65536",
        "line 3: invalid_field: event_id is required and missing",
        "2 of 4 lines are not events; nothing was sent",
    ]


@pytest.mark.parametrize(("events", "room"), [(20_000, 50_000), (300, 1_000)], ids=["at once", "when it is closed"])
def test_a_full_disk_is_said_to_be(
    where: Settings, file: Path, monkeypatch: pytest.MonkeyPatch, events: int, room: int
) -> None:
    file.write_bytes(b"\n".join(event(n, note=os.urandom(8).hex()) for n in range(events)))
    monkeypatch.setattr(spool, "MEMORY_BYTES", 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    producer = FakeProducer()
    try:
        with pytest.raises(Refused, match="File too large; nothing was sent; TMPDIR"):
            produce(where, file, producer)
        assert produce(where, file, dry_run=True) == f"{events} events are valid; nothing was sent", "it keeps nothing"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert producer.sent == []


@pytest.mark.parametrize("dry_run", [True, False])
def test_events_that_are_sure_to_be_refused_are_told_before_anything_is_sent(
    where: Settings, file: Path, dry_run: bool
) -> None:
    file.write_bytes(b"\n".join([event(1, TOO_LATE), event(2), event(3, IN_FUTURE), event(4, IN_FUTURE)]))
    producer = FakeProducer()
    with pytest.raises(CommandError) as refused:
        produce(where, file, producer, dry_run=dry_run)
    assert str(refused.value).splitlines() == [
        f"line 1: too_late: occurred_at '{TOO_LATE}' is before 2026-04-01T00:00:00Z, since when facts are kept "
        "(MSGMETRICS_FACTS_RETENTION_DAYS is 35)",
        f"line 3: future_timestamp: occurred_at '{IN_FUTURE}' is more than 300 s ahead of this clock",
        f"line 4: future_timestamp: occurred_at '{IN_FUTURE}' is more than 300 s ahead of this clock",
        "3 of 4 events are sure to become dead letters (2 future_timestamp, 1 too_late); nothing was sent; "
        "--anyway sends them all the same",
    ]
    assert producer.sent == []


def test_they_are_sent_anyway_where_that_is_wanted(
    where: Settings, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(b"\n".join([event(1, TOO_LATE), event(2)]))
    producer = FakeProducer()
    assert produce(where, file, producer, anyway=True) == "2 events sent to message-events"
    assert producer.sent == [event(1, TOO_LATE), event(2)]
    assert capsys.readouterr().err == "msgmetrics: 1 of 2 events are sure to become dead letters (1 too_late)\n"
    file.write_bytes(b"\n".join([event(1, TOO_LATE), b"broken"]))
    with pytest.raises(CommandError) as refused:
        produce(where, file, anyway=True)
    assert "line 1" not in str(refused.value)
    assert str(refused.value).endswith("1 of 2 lines are not events; nothing was sent")


def test_what_a_pipe_brings_hours_later_is_held_against_the_time_by_then(where: Settings, file: Path) -> None:
    file.write_bytes(event(1, "2026-05-05T14:00:00Z"))
    hours = iter([NOW_MS, NOW_MS + 7_200_000])
    assert produce(where, file, clock=lambda: next(hours)) == "1 events sent to message-events"


def test_only_twenty_problems_are_shown_of_whatever_kind(where: Settings, file: Path) -> None:
    file.write_bytes(b"\n".join([event(1, TOO_LATE), b"x"] * 50))
    with pytest.raises(CommandError) as refused:
        produce(where, file)
    shown = str(refused.value).splitlines()
    assert len(shown) == event_check.MAX_PROBLEMS_SHOWN + 2
    assert shown[-2] == "… and 80 more"


def test_events_go_to_the_topic_that_is_named(where: Settings, file: Path) -> None:
    two = replace(where, kafka_topic=("missing", "message-events"))
    producer = FakeProducer()
    assert produce(two, file, producer, topic_to_send_to(two, "message-events")) == "10 events sent to message-events"
    assert producer.topics == {"message-events"}
    with pytest.raises(
        CommandError, match=r"the topic missing does not exist; make it, or run `msgmetrics migrate --create`$"
    ):
        produce(two, file, producer, "missing")
    with pytest.raises(CommandError, match=r"the topic missing does not exist; run `msgmetrics migrate`$"):
        produce(replace(where, kafka_topic=("missing",)), file, producer, "missing")
    assert len(producer.sent) == 10


def test_a_topic_must_be_named_where_there_are_several_and_be_one_that_is_read(where: Settings) -> None:
    assert topic_to_send_to(where, "") == topic_to_send_to(where, "message-events") == "message-events"
    two = replace(where, kafka_topic=("b", "a"))
    assert topic_to_send_to(two, "a") == "a"
    with pytest.raises(Usage, match=r"several topics are read \(b, a\); name one of them with --topic"):
        topic_to_send_to(two, "")
    for settings_, sentence in ((two, r"\(b, a\)"), (where, r"\(message-events\)")):
        with pytest.raises(Usage, match=f"c is none of the topics that are read {sentence}; MSGMETRICS_KAFKA_TOPIC"):
            topic_to_send_to(settings_, "c")
