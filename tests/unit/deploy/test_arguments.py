"""Arguments that are empty, mistyped or hostile: each ends with one sentence, and nothing is done.

ClickHouse is replaced by one that knows nobody, and fails the test at any statement but those that look who is known.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.cli import clickhouse
from deploy.cli.arguments import MAX_CLUSTER_CHARACTERS, OFFSETS, PARTITION, TOPIC_NAME
from deploy.cli.backup import NAME, PLACES
from deploy.cli.context import INSTANT
from deploy.cli.explain import METRICS
from deploy.cli.main import run
from deploy.errors import CommandError
from deploy.sql import sql
from schemas.api_key import SCOPE_PATTERN
from schemas.message_event import MAX_ORG_CHARACTERS, DeadLetterReason
from schemas.setting_values import TOPIC
from schemas.tiers import Tier
from tests.support.commands import COMMANDS

SPAN = ("--from", "2026-05-05T00:00:00Z", "--to", "2026-05-06T00:00:00Z")
GOOD: dict[str, tuple[str, ...]] = {
    "backup create": ("name",),
    "backup restore": ("name",),
    "compare": (str(Path(__file__).with_name("invoice.csv")), *SPAN, "--org", "acme", "--columns", "date=day,cost=c"),
    "dead-letters show": ("message-events/0/1",),
    "erase": ("acme", "--yes"),
    "explain": ("--org", "acme", "--bucket", "2026-05-05T00:00:00Z", "--granularity", "hour"),
    "keys create": ("acme",),
    "keys revoke": ("am_live_p63v",),
    "orgs set": ("acme", "--tier", "growth"),
    **dict.fromkeys(("rebuild", "reconcile", "replay"), SPAN),
    **{f"statements {making}": ("acme", "--period", "2026-10") for making in ("adjust", "close")},
    **{f"statements {reading}": ("acme", "2026-10") for reading in ("diff", "export", "show")},
}
"""What a command needs beside the argument that is tried."""
LEFT_OUT = {"dev", "produce", "statements import"}
"""`dev` is below, and files are arguments of their own kind."""
EMPTY = ("", " ", "\t", "\n", "\0")
OBEYED = ("\x1b[2J", "\x9b31m", "\u202e", "\ud800")
PATTERNS = ("*", "%", "_", "'", '"', "\\", "{}", "../x", "$HOME", "; DROP")
NUMBERS = ("-1", "0", str(2**31), "9" * 30, "9" * 400, "9" * 5_000, "1e9", "NaN", "٣")
LONG = ("x" * 65, "x" * 129, "x" * 100_000)
HOSTILE = (*EMPTY, *OBEYED, *PATTERNS, *NUMBERS, *LONG)
KNOWN = sql("cli/organizations")
READ_FIRST = {KNOWN, *(sql(f"cli/{name}") for name in ("newest_cluster", "key_id", "keys", "server_clock"))}


class Nobody:
    """A ClickHouse without any organization."""

    class Answer:
        def __init__(self, rows: Sequence[Sequence[Any]]) -> None:
            self.result_rows = rows

    def query(self, statement: str, parameters: Any = None) -> "Nobody.Answer":
        assert statement in READ_FIRST, statement
        for value in (parameters or {}).values():
            str(value).encode()  # as the driver does
        if statement == sql("cli/server_clock"):
            return self.Answer([[0]])
        return self.Answer([[""]] if statement == sql("cli/newest_cluster") else [])


class Acts(CommandError):
    """The command does what it is for."""


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def acts(*words: Any, **__: Any) -> None:
        raise Acts(f"acts {words[1:]!r}")

    monkeypatch.setattr(clickhouse, "open_clickhouse", lambda *_, **__: Nobody())
    for acting in (
        "deploy.cli.accounts.create_key",
        "deploy.cli.accounts.set_tier",
        "deploy.cli.backup.create",
        "deploy.cli.backup.restore",
        "deploy.cli.migrate.open_clickhouse",
        "deploy.cli.replay.run_replay",
        "deploy.cli.topics.retire",
        "pipeline.clickhouse.store.Store.__init__",
    ):
        monkeypatch.setattr(acting, acts)


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    for name, command in COMMANDS.items():
        for parameter in command.params:
            is_flag = isinstance(parameter, click.Option) and parameter.is_flag
            if name not in LEFT_OUT and not is_flag:
                yield name, parameter


PARAMETERS = list(parameters())


def words(name: str, parameter: click.Parameter, value: str) -> list[str]:
    """The command's line with a value for one of its parameters, and good ones for what it needs."""
    good = GOOD.get(name, ())
    if isinstance(parameter, click.Argument):
        first = next((n for n, word in enumerate(good) if word.startswith("--")), len(good))
        at = [p for p in COMMANDS[name].params if isinstance(p, click.Argument)].index(parameter)
        return [*name.split(), *good[first:], "--", *good[:at], value, *good[at + 1 : first]]
    flag = max(parameter.opts, key=len)
    if flag in good:
        at = good.index(flag)
        good = good[:at] + good[at + 2 :]
    return [*name.split(), *good, f"{flag}={value}"]


def is_one_sentence(text: str) -> bool:
    """Whether an end is a usage and an error, or one sentence; never a trace, and nothing that a terminal obeys."""
    said = text.rstrip("\n").split("\n")
    body = said[said.index("") + 1 :] if said[0].startswith("Usage: ") else said
    return len(body) == 1 and body[0].startswith(("Error: ", "msgmetrics: ")) and "a bug" not in body[0]


def is_new_organization(value: str) -> bool:
    return value == value.strip() and value.isprintable() and 1 <= len(value) <= MAX_ORG_CHARACTERS


def whole(least: int, most: float = math.inf) -> Callable[[str], bool]:
    """Whether a value is a number in a range, as Python reads one."""

    def is_whole(value: str) -> bool:
        try:
            return least <= int(value) <= most
        except ValueError:
            return False

    return is_whole


def is_cluster(value: str) -> bool:
    return 1 <= len(value) <= MAX_CLUSTER_CHARACTERS and value.encode(errors="ignore").decode() == value


is_topic: Callable[[str], bool] = lambda value: TOPIC_NAME.fullmatch(value) is not None  # noqa: E731
GOES_ON: dict[tuple[str, str], Callable[[str], bool]] = {
    ("backup create", "name"): lambda value: NAME.fullmatch(value) is not None,
    ("backup restore", "name"): lambda value: NAME.fullmatch(value) is not None,
    **{(f"dead-letters {command}", "cluster"): is_cluster for command in ("list", "show", "export", "redrive")},
    ("dead-letters list", "limit"): whole(1, 100_000),
    ("keys create", "org"): is_new_organization,
    ("migrate", "partitions"): whole(1, 10_000),
    ("orgs set", "org"): is_new_organization,
    **dict.fromkeys(((f"dead-letters {word}", "topic") for word in ("list", "export", "redrive")), is_topic),
    ("replay", "partitions"): lambda value: PARTITION.fullmatch(value) is not None and value.isdigit(),
    ("replay", "rate"): whole(1, 10_000_000),
    ("topics retire", "topic"): lambda value: TOPIC.fullmatch(value) is not None,
}
"""Where a value may be good, so that the command goes on to do what it is for: with that value, to the letter."""


def is_good(parameter: click.Parameter, value: str) -> bool:
    """Whether any text, as Hypothesis finds it in our source too, happens to be what is asked for."""
    try:
        parameter.type_cast_value(click.Context(click.Command("x")), (value,) if parameter.multiple else value)
    except click.UsageError:
        return False
    if parameter.type is INSTANT or isinstance(parameter.type, click.Choice):
        return True
    patterns = {"scopes": SCOPE_PATTERN, "place": PLACES, "name": OFFSETS}
    return parameter.name in patterns and patterns[parameter.name].fullmatch(value) is not None


def check(name: str, parameter: click.Parameter, value: str, output: Callable[[], tuple[str, str]]) -> None:
    line = words(name, parameter, value)
    code, stderr = run(line), output()[1]
    goes_on = GOES_ON.get((name, str(parameter.name)))
    if goes_on and goes_on(value):
        assert (code, stderr[:17]) == (1, "msgmetrics: acts "), (line, stderr)
        assert parameter.name != "org" or repr(value) in stderr
        return
    if code == 1 and is_good(parameter, value):
        assert stderr.startswith("msgmetrics: acts "), (line, stderr)
        return
    assert code in (2, 4), (line, code, stderr)
    assert is_one_sentence(stderr), (line, stderr)
    assert stderr.replace("\n", "").isprintable(), (line, stderr)


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS, ids=lambda p: p if isinstance(p, str) else p.name)
def test_a_hostile_argument_ends_with_a_sentence_and_does_nothing(
    name: str, parameter: click.Parameter, capfd: pytest.CaptureFixture[str]
) -> None:
    for value in HOSTILE:
        check(name, parameter, value, capfd.readouterr)


@given(st.sampled_from(PARAMETERS), st.text(st.characters(codec=None), max_size=70))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_any_text_ends_with_a_sentence_and_does_nothing(
    capfd: pytest.CaptureFixture[str], asked: tuple[str, click.Parameter], value: str
) -> None:
    check(*asked, value, capfd.readouterr)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_about_an_organization_asks_who_is_known(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    asked = [p for p in COMMANDS[name].params if p.name == "org"]
    for parameter in asked:
        if (name, "org") in GOES_ON:
            continue
        assert run(words(name, parameter, "acmee")) == 4
        stderr = capfd.readouterr().err
        assert "nobody knows the organization 'acmee'" in stderr
        assert "msgmetrics orgs list" in stderr
        assert run(words(name, parameter, "")) == 2, "empty is not all"


def test_an_event_is_looked_for_in_an_organization_that_nobody_knows(capfd: pytest.CaptureFixture[str]) -> None:
    """Its record may be a dead letter whose organization cannot be told."""
    assert run(["explain", "--org", "acmee", "--event", "e-1"]) == 1
    assert "msgmetrics: acts" in capfd.readouterr().err
    for event in ("", "x" * 129, "\ud800"):
        assert run(["explain", "--org", "acmee", "--event", event]) == 2


@pytest.mark.parametrize(
    "line",
    [
        *(f"dead-letters list --reason {reason}" for reason in DeadLetterReason),
        *(f"explain --org acme --event e --metric {metric}" for metric in METRICS),
        *(f"orgs set acme --tier {tier}" for tier in Tier),
        "dead-letters list --from 2026-05-05T02:00:00+02:00 --limit 7",
        "dead-letters show message-events/0/1234",
        "reconcile --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z",
    ],
)
def test_a_good_argument_goes_through(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 1
    assert "msgmetrics: acts" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["list", "export", "redrive"])
def test_a_span_of_dead_letters_begins_before_it_ends(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    late, early = "2026-05-06T00:00:00Z", "2026-05-05T00:00:00Z"
    assert run(["dead-letters", command, "--from", late, "--to", early]) == 2
    assert run(["dead-letters", command, "--from", late, "--to", late]) == 2
    assert "--from must be before --to" in capfd.readouterr().err


def test_a_refused_time_is_shown_as_commands_take_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["rebuild", "--from", "2026-05-05T02:00:00%2B02:00", "--to", "2026-05-06T00:00:00Z"]) == 2
    said = capfd.readouterr().err
    assert "2026-05-05T02:00:00+02:00, not" in said
    assert said.count("%2B") == 1, "only in what was given"


def test_a_partition_that_is_named_twice_is_replayed_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["replay", *SPAN, *["--partition", "1", "--partition", "2", "--partition", "1", "--rate", "7"]]) == 1
    told = capfd.readouterr().err
    assert (told.count("number=1"), told.count("number=2"), told.count("rate=7")) == (1, 1, 1)


INSTANTS = [(name, p) for name, p in PARAMETERS if p.type is INSTANT]


@pytest.mark.parametrize(("name", "parameter"), INSTANTS, ids=lambda p: p if isinstance(p, str) else p.name)
def test_a_fraction_of_a_second_is_refused_by_every_command_and_one_of_zero_is_none(
    name: str, parameter: click.Parameter, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(words(name, parameter, "2026-05-05T02:00:59.999+02:00")) == 2
    assert "whole seconds, here 2026-05-05T00:00:59Z or 2026-05-05T00:01:00Z, not" in capfd.readouterr().err
    run(words(name, parameter, "2026-05-05T02:00:00.000+02:00"))
    assert "whole seconds" not in capfd.readouterr().err


# -- dev --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--host", "--port", "--data"])
def test_dev_refuses_what_it_cannot_use_before_it_makes_anything(
    flag: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def leave(code: int) -> NoReturn:
        raise SystemExit(code)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("deploy.cli.dev.leave", leave)
    monkeypatch.setattr("deploy.cli.dev._use_directory", lambda *_: leave(99))
    for value in (*EMPTY, *OBEYED, *PATTERNS, LONG[-1]) if flag == "--host" else HOSTILE:
        code, stderr = run(["dev", f"{flag}={value}"]), capfd.readouterr().err
        is_path = flag == "--data" and value not in ("", "\0", "\ud800")
        is_free = flag == "--port" and value in ("0", "٣")
        assert code in ((99, 4) if is_path or is_free else (2, 3, 4)), (value, code, stderr)
        assert code == 99 or is_one_sentence(stderr), (value, stderr)
    assert list(tmp_path.iterdir()) == []
