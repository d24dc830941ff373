"""``msgmetrics check``: what each record of a file would become. For producers' tests: it needs no server."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import click
from tqdm import tqdm

from deploy.cli.context import INSTANT, Context, is_terminal, say
from deploy.cli.event_file import LONGEST_RECORD, event_lines, title_of
from deploy.cli.problems import command_errors
from deploy.cli.record_check import Judge, Outcome, Verdict
from deploy.errors import CommandError
from deploy.terminal import safe_json
from pipeline.registry.schemas import open_schemas
from schemas.grain import MS_PER_SECOND
from schemas.instant import wall_clock_ms
from schemas.message_event import TIME_BASED, DeadLetterReason

MAX_PROBLEMS_SHOWN = 20


@click.command()
@click.argument("file", metavar="FILE|-")
@click.option("--at", type=INSTANT, help="when the records are read, RFC 3339 with offset [now]")
@click.option(
    "--all", "every", is_flag=True, help=f"print every record, not only the first {MAX_PROBLEMS_SHOWN} problems"
)
@click.option("--json", "as_json", is_flag=True, help="print every record as a line of JSON")
@click.pass_obj
def check(context: Context, file: str, at: int | None, every: bool, as_json: bool) -> None:
    """Say what each record of a file would become.

    A line is a record. It becomes a fact, in a minute, or a dead letter, with the sentence that a worker would store.
    Nothing is sent, and no server is needed, but for the schema registry if MSGMETRICS_SCHEMA_REGISTRY_URL is set and
    records need it. Exit code 1 unless there are records, all become facts, and no two of them are different events
    with the same organization, type and id.

    The file is plain, gzip or zstd, a pipe, or - for standard input. A line is a record's value: an event, also in a
    CloudEvent, in Connect's schema and payload or in a JSON string. For a record that has headers, or is no text, it is
    what `dead-letters export` writes, a JSON object with these fields; others are ignored:

    \b
      value_base64  the value, or null. A line that has this field, and is no
                    valid event by itself, is taken for such an object
      key_base64    the key; may be left out
      headers       a list of objects with name or name_base64, and with
                    value_base64; may be left out
      record_at     the record's time; may be left out, and an event is then
                    held against the time of reading alone

    That time is --at. With a fixed one, a file of a test stays valid for good. MSGMETRICS_FUTURE_SKEW_SECONDS and
    MSGMETRICS_FACTS_RETENTION_DAYS say which events are in time.

    \b
    Examples:
      msgmetrics check events.ndjson
      msgmetrics check fixtures.ndjson --at 2026-05-05T12:00:00Z --json
    """
    clock = wall_clock_ms if at is None else lambda: at * MS_PER_SECOND
    tell = _as_json if as_json else _as_text if every else None
    settings = context.settings
    with command_errors(settings):
        schemas = open_schemas(settings, time.monotonic)
        judge = Judge(settings, clock, schemas.ask if schemas else None)
        found = check_file(judge, file, tell)
    if tell is None and found.problems:
        say(*found.problems)
    found.refuse(title_of(file), judge.in_time)
    if not as_json:
        say(found.sentence)


def _as_json(verdict: Verdict) -> None:
    say(safe_json(verdict.as_json()))


def _as_text(verdict: Verdict) -> None:
    say(str(verdict))


@dataclass(slots=True)
class Found:
    """Numbers of lines by outcome and reason, and the first of those that have a problem."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    reasons: Counter[DeadLetterReason] = field(default_factory=Counter)
    shown: list[Verdict] = field(default_factory=list)

    def note(self, verdict: Verdict) -> None:
        """Count a line."""
        self.outcomes[verdict.outcome] += 1
        if verdict.reason is not None:
            self.reasons[verdict.reason] += 1
        if not verdict.outcome.is_fine and len(self.shown) < MAX_PROBLEMS_SHOWN:
            self.shown.append(verdict)

    @property
    def problems(self) -> list[str]:
        """Lines of a report on the first problems."""
        hidden = self._in_the_way - len(self.shown)
        return [*map(str, self.shown), *([f"… and {hidden} more; --all shows every record"] if hidden else [])]

    @property
    def _in_the_way(self) -> int:
        return sum(number for outcome, number in self.outcomes.items() if not outcome.is_fine)

    @property
    def sentence(self) -> str:
        """The numbers in a sentence."""
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(self.reasons.items()))
        named = {
            Outcome.FACT: "counted",
            Outcome.DUPLICATE: "repeated, which count once",
            Outcome.CONFLICT: "under the identity of another event",
            Outcome.DEAD_LETTER: f"dead letters ({reasons})",
            Outcome.BROKEN_LINE: "broken lines",
        }
        told = [f"{self.outcomes[outcome]} {words}" for outcome, words in named.items() if self.outcomes[outcome]]
        return f"{self.outcomes.total()} records: {'; '.join(told)}"

    def refuse(self, title: str, in_time: str) -> None:
        """Raise CommandError unless there are records, and all of them would be counted.

        ``in_time`` is the sentence on the events that are in time, where some are not.
        """
        if not self.outcomes:
            raise CommandError(f"{title} has no records")
        if self._in_the_way:
            more = [in_time] if self.reasons.keys() & TIME_BASED else []
            raise CommandError("\n".join([self.sentence, *more]))


def check_file(judge: Judge, name: str, tell: Callable[[Verdict], None] | None) -> Found:
    """Judge every line of a file, and tell of each; where nobody is told, a terminal shows how far it is."""
    found = Found()
    with event_lines(name, LONGEST_RECORD) as lines:
        shown: Iterable[tuple[int, bytes]] = tqdm(
            lines, "checking", unit=" records", disable=not is_terminal() or tell is not None
        )
        for verdict in judge.verdicts(shown):
            found.note(verdict)
            if tell is not None:
                tell(verdict)
    return found
