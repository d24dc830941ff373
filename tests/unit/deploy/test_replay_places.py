"""Partitions and topics of a replay as they are named."""

import pytest

from deploy.cli.main import run
from deploy.cli.replay import named_place
from deploy.errors import CommandError, Usage
from pipeline.core.place import Place
from pipeline.repair.replay_reading import Wanted

SPAN = ("--from", "2026-05-05T00:00:00Z", "--to", "2026-05-06T00:00:00Z")


@pytest.mark.parametrize(
    ("text", "topics", "place"),
    [
        ("a/3", ["a"], Place("a", 3)),
        ("3", ["a"], Place("a", 3)),
        ("b/0", ["a", "b"], Place("b", 0)),
        ("b.c-d_e/0", ["b.c-d_e"], Place("b.c-d_e", 0)),
    ],
)
def test_a_partition_has_its_topic_unless_there_is_only_one(text: str, topics: list[str], place: Place) -> None:
    assert named_place(text, topics) == place


@pytest.mark.parametrize(
    ("text", "topics", "sentence"),
    [
        ("3", ["a", "b"], "a partition is named as topic/number, like a/3; not '3'"),
        ("a", ["a"], "a partition is named as topic/number, like a/3, or its number alone; not 'a'"),
        ("a/3/5", ["a"], "like a/3, or"),
        ("a/", ["a"], "like a/3, or"),
        ("/3", ["a"], "like a/3, or"),
        ("a/٣", ["a"], "like a/3, or"),
        ("a/-1", ["a"], "like a/3, or"),
        ("", ["a", "b"], "like a/3; not ''"),
        ("c/3", ["a", "b"], "c/3 is no partition of a or b, of which the replay is"),
    ],
)
def test_any_other_name_is_refused_with_the_form(text: str, topics: list[str], sentence: str) -> None:
    with pytest.raises(Usage) as refused:
        named_place(text, topics)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("words", "topics", "places"),
    [
        ("", set(), set()),
        ("--topic b --topic a", {"a", "b"}, set()),
        ("--partition a/1 --partition b/0 --partition a/1", set(), {Place("a", 1), Place("b", 0)}),
        ("--topic b --partition 2", {"b"}, {Place("b", 2)}),
        ("--topic c", None, "c is none of the topics that are read (a, b); MSGMETRICS_KAFKA_TOPIC lists them"),
        ("--partition 2", None, "like a/3; not '2'"),
        ("--topic b --partition a/2", None, "a/2 is no partition of b, of which"),
        ("--topic ..", None, "a topic's name is 1 to 249 of [A-Za-z0-9._-]; not '..'"),
    ],
)
@pytest.mark.parametrize("kind", ["run_replay", "forecast"])
def test_a_replay_and_its_dry_run_are_of_what_is_named_of_all_topics(
    words: str,
    topics: set[str] | None,
    places: set[Place] | str,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    asked: list[Wanted] = []

    def acts(settings: object, wanted: Wanted, **_: bool) -> str:
        asked.append(wanted)
        raise CommandError("acts")

    monkeypatch.setattr(f"deploy.cli.replay.{kind}", acts)
    monkeypatch.setenv("MSGMETRICS_KAFKA_TOPIC", "a,b")
    code = run(["replay", *SPAN, *words.split(), *(["--dry-run"] if kind == "forecast" else [])])
    if isinstance(places, str):
        assert (code, asked) == (2, [])
        assert places in capfd.readouterr().err
        return
    ((wanted),) = asked
    assert (code, set(wanted.topics), set(wanted.places)) == (1, topics, places)
