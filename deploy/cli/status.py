"""``msgmetrics status``: progress of the pipeline, from the workers' reports in ClickHouse and the ends of the log."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import click
from clickhouse_connect.driver.client import Client

from deploy.cli.clickhouse import LOOK_SECONDS, connected
from deploy.cli.context import Context, say
from deploy.cli.kafka import LogEnd, LogEnds, describe_topics, log_ends
from deploy.cli.topic_checks import missing, name_topics
from deploy.cli.topic_progress import READING_SECONDS, Report, Stored, other_groups, read_stored, stored_cluster_id
from deploy.errors import CommandError
from deploy.sql import sql
from deploy.terminal import safe_json
from pipeline.clickhouse.client import sql as pipeline_sql
from pipeline.core.place import Place
from pipeline.core.statements.standing import Month, read_months
from pipeline.core.watermark import reading_status
from schemas.grain import MS_PER_SECOND
from schemas.instant import rfc3339
from schemas.settings import Settings

DEAD_LETTER_HOURS = 24
WATCH_SECONDS = 2


@click.command()
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.option("--watch", is_flag=True, help=f"again every {WATCH_SECONDS} s, until Ctrl-C")
@click.pass_obj
def status(context: Context, as_json: bool, watch: bool) -> None:
    """How far aggregation has come, by partition.

    Exit code 1 when it is not ready; the reasons say what to do.

    \b
    Examples:
      msgmetrics status
      msgmetrics status --watch
    """
    while True:
        found = connected(context, read_status, timeout_seconds=LOOK_SECONDS)
        if watch and not as_json:
            click.clear()
        say(*([safe_json(found.as_json())] if as_json else render(found)))
        if not watch:
            sys.exit(0 if found.ready else 1)
        time.sleep(WATCH_SECONDS)


@dataclass(frozen=True, slots=True)
class PartitionState:
    """Progress of one partition. ``watermark`` is None before the first event.

    ``log_end_offset`` is as far as can be read; an open transaction keeps ``hidden`` offsets behind that.
    """

    topic: str
    partition: int
    next_offset: int
    log_end_offset: int | None
    lag: int | None
    hidden: int
    watermark: str | None
    status: str
    owner: str

    @property
    def place(self) -> Place:
        """The partition as people name it."""
        return Place(self.topic, self.partition)


@dataclass(frozen=True, slots=True)
class AcceptedGap:
    """Offsets [from_offset, to_offset) that could not be read, and that an operator accepted as lost."""

    topic: str
    partition: int
    from_offset: int
    to_offset: int
    accepted_at: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """The whole pipeline. Times are RFC 3339; ``reasons`` says why it is not ready.

    ``partitions`` has none of topics that are ``retired``; ``groups`` are the other consumer groups that write here.
    """

    as_of: str | None
    as_of_age_seconds: float | None
    ready: bool
    reasons: list[str]
    generation: int
    partitions: list[PartitionState]
    pending_recomputes: int
    dead_letters: dict[str, int]
    accepted_gaps: list[AcceptedGap]
    retired: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    months: list[Month] = field(default_factory=list)

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def read_status(client: Client, settings: Settings) -> Status:
    """Gather the status. Log end offsets come from Kafka where it answers, else from the workers' last reports."""
    as_of_ms, generation, now_ms = map(int, client.query(sql("cli/status_as_of")).result_rows[0])
    cluster_id = stored_cluster_id(settings, client)
    stored = read_stored(client, cluster_id)
    reasons, existing, ends = _ask_kafka(settings, stored)
    retired = sorted(stored.retired.keys() - set(settings.topics))
    known = {place: report for place, report in stored.reports.items() if place.topic not in retired}
    partitions = [_partition(p, known.get(p), ends.get(p)) for p in sorted(known.keys() | existing)]
    age = (now_ms - as_of_ms) / MS_PER_SECOND if as_of_ms else None
    reasons += [*_reasons(settings, age, partitions), *_unread(settings, age, stored)]
    if reasons or any(p.status == "waiting" for p in partitions):
        reasons += _workers_reasons(client)
    pending = client.query(sql("cli/status_pending"), parameters={"seconds": READING_SECONDS})
    dead = client.query(sql("cli/status_dead_letters"), parameters={"hours": DEAD_LETTER_HOURS}).result_rows
    gaps = client.query(pipeline_sql("state/gaps"), parameters={"cluster_id": cluster_id}).result_rows
    return Status(
        as_of=rfc3339(as_of_ms),
        as_of_age_seconds=age,
        ready=not reasons,
        reasons=reasons,
        generation=generation,
        partitions=partitions,
        pending_recomputes=int(pending.result_rows[0][0]),
        dead_letters={reason: int(count) for reason, count in dead},
        accepted_gaps=[AcceptedGap(t, int(p), int(start), int(end), rfc3339(int(at))) for t, p, start, end, at in gaps],
        retired=retired,
        groups=other_groups(client, settings.kafka_group, READING_SECONDS),
        months=_months(client, settings, as_of_ms),
    )


def _months(client: Client, settings: Settings, as_of_ms: int) -> list[Month]:
    """Months that may still change; none before the first watermark."""

    def look(name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        return client.query(pipeline_sql(name), parameters=parameters).result_rows

    return read_months(look, as_of_ms, settings.facts_retention_days)


def _ask_kafka(settings: Settings, stored: Stored) -> tuple[list[str], set[Place], Mapping[Place, LogEnd]]:
    """Reasons not to be ready, the partitions of all topics that hold `as_of`, and the ends of their logs."""
    topics = {*settings.topics, *stored.holding(settings.topics)}
    try:
        states = describe_topics(settings, sorted(topics))
    except CommandError as error:
        return [str(error)], set(), {}
    existing = {Place(topic, number) for topic, state in states.items() for number in range(state.partitions)}
    found: LogEnds = log_ends(settings, sorted(existing))
    return [*missing(settings.topics, states), *found.problems.values()], existing, found.of


def _partition(place: Place, report: Report | None, log_end: LogEnd | None) -> PartitionState:
    hidden = log_end.hidden if log_end else 0
    if report is None:
        end = log_end.readable if log_end else None
        return PartitionState(*place, 0, end, end, hidden, None, "never read", "")
    end, status = log_end.readable if log_end else report.log_end_offset, report.status
    if hidden:  # the worker's report may be older than the transaction
        status = reading_status(report.next_offset, end, hidden)
    return PartitionState(
        *place,
        report.next_offset,
        end,
        max(0, end - report.next_offset),
        hidden,
        rfc3339(report.watermark_ms),
        status or "unknown",
        report.owner,
    )


def _reasons(settings: Settings, age: float | None, partitions: list[PartitionState]) -> list[str]:
    never = [str(p.place) for p in partitions if p.watermark is None]
    found = []
    if age is None:
        found.append("nothing is aggregated yet; start a worker with `msgmetrics worker` and see that it stays up")
    elif age > settings.lateness_seconds + READING_SECONDS:
        found.append(f"as_of is {age:.0f} s old: look at the lag below, and at what the workers wait for")
        found += [
            f"an open transaction of a producer hides {p.hidden} records of {p.place} from offset {p.log_end_offset} "
            "on, which holds as_of until it is committed, aborted or timed out"
            for p in partitions
            if p.hidden
        ]
    if never and age is not None:
        found.append(f"partitions {', '.join(never)} were never read, which holds as_of; is a worker running?")
    return found


def _unread(settings: Settings, age: float | None, stored: Stored) -> list[str]:
    """A reason where an old `as_of` is held by topics that this list does not have, and that nobody reads."""
    unread = [topic for topic in stored.holding(settings.topics) if topic not in stored.readers]
    if age is None or age <= settings.lateness_seconds + READING_SECONDS or not unread:
        return []
    many = len(unread) > 1
    return [
        f"{name_topics(unread)} hold{'' if many else 's'} as_of, and nobody reads {'them' if many else 'it'}: start a "
        f"worker that does, or end that with `msgmetrics topics retire`"
    ]


def _workers_reasons(client: Client) -> list[str]:
    """Reasons of workers that are not ready: as of their last reports, so that these alone make nothing unready."""
    found = client.query(sql("cli/status_workers"), parameters={"seconds": READING_SECONDS}).result_rows
    return [f"{worker}: {reason}" for worker, reasons in found for reason in reasons]


def render(status: Status) -> list[str]:
    """The status as lines of text."""
    age = "" if status.as_of_age_seconds is None else f" ({status.as_of_age_seconds:.1f} s ago)"
    out = [
        f"as_of       {status.as_of or 'not set'}{age}",
        f"ready       {'yes' if status.ready else 'no'}",
        *(f"            {reason}" for reason in status.reasons),
        f"generation  {status.generation}",
        f"pending     {status.pending_recomputes} late recomputes",
        f"dead        {_dead(status)} in the last {DEAD_LETTER_HOURS} h",
    ]
    out += [
        f"gap         {Place(gap.topic, gap.partition)}, offsets {gap.from_offset} to {gap.to_offset - 1} are lost; "
        f"accepted {gap.accepted_at}. If the records exist elsewhere, produce them again"
        for gap in status.accepted_gaps
    ]
    if status.retired:
        out.append(f"retired     {', '.join(status.retired)}: left out here, and nothing waits for them")
    if status.groups:
        out.append(f"groups      {', '.join(status.groups)} write here as well")
    out += [f"month       {_month(month)}" for month in status.months if any(m.stated for m in status.months)]
    width = max([10, *(len(p.status) for p in status.partitions)])
    wide = max([9, *(len(str(p.place)) for p in status.partitions)])
    columns = f"{'partition':<{wide}} {'next offset':>12} {'log end':>12} {'lag':>10}  {'watermark':<24}"
    out += ["", f"{columns}  {'status':<{width}} owner"]
    for p in status.partitions:
        end, lag = ("?" if v is None else str(v) for v in (p.log_end_offset, p.lag))
        offsets = f"{p.place!s:<{wide}} {p.next_offset:>12} {end:>12} {lag:>10}"
        out.append(f"{offsets}  {p.watermark or 'none':<24}  {p.status:<{width}} {p.owner}")
    return out


def _month(month: Month) -> str:
    if not month.has_ended:
        return f"{month.period} is under way"
    told = f"{month.period} is stated of {month.stated} organizations" if month.stated else f"{month.period} is open"
    told += f", not of {month.open}" if month.open else ""
    if not month.differing:
        return told
    differ = f"{month.differing} differ{'s' if month.differing == 1 else ''}"
    return f"{told}; {differ}: msgmetrics statements adjust --all --period {month.period}"


def _dead(status: Status) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in status.dead_letters.items()) or "none"
