"""``msgmetrics topics``: the topics that are read, and the end of one that is not read any more.

A topic of which anything was read holds `as_of` until it is retired, whether it is on a list, in Kafka, or neither:
nothing that a worker can see tells a topic that is away for a moment from one that is gone for good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import click
from clickhouse_connect.driver.client import Client

from deploy.cli.arguments import TOPIC
from deploy.cli.clickhouse import LOOK_SECONDS, connected, open_store
from deploy.cli.context import Context, say
from deploy.cli.kafka import LogEnds, cluster_id, committed_offsets, describe_topics, log_ends
from deploy.cli.topic_checks import TopicState, count_records, not_shown
from deploy.cli.topic_progress import Stored, read_stored, stored_cluster_id
from deploy.errors import CommandError, Refused
from deploy.terminal import safe_json
from pipeline.core.holding import Marks
from pipeline.core.place import Place
from pipeline.core.protocol import marks_steps, retire_steps
from pipeline.runner import drive
from schemas.instant import rfc3339
from schemas.settings import Settings

UNCOUNTED = (
    "if a worker was killed before late events of it were in every number, `msgmetrics reconcile` finds that, and "
    "`msgmetrics rebuild` mends it"
)
NEVER_READ, IN_USE, GONE, HIDDEN = "never read", "in use", "not in Kafka", "not shown by Kafka"


@click.group()
def topics() -> None:
    """Topics that are read, and whether as_of waits for them."""


@topics.command("list")
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def topics_list(context: Context, as_json: bool) -> None:
    """List the topics that are listed here, or were read.

    as_of waits for each of them, but for those that are retired.

    \b
    Example:
      msgmetrics topics list
    """
    found = connected(context, read_topics, timeout_seconds=LOOK_SECONDS)
    say(*([safe_json(asdict(found))] if as_json else render(found)))


@topics.command("retire")
@click.argument("topic", type=TOPIC)
@click.option("--anyway", is_flag=True, help="also where records are left that nobody will read, or may be")
@click.pass_obj
def topics_retire(context: Context, topic: str, anyway: bool) -> None:
    """Let as_of no longer wait for a topic that nobody reads any more.

    Take it off the list of every worker first, once all of it is read. A worker that reads it again takes this back.

    \b
    Example:
      msgmetrics topics retire old-events
    """
    say(*connected(context, lambda client, settings: retire(client, settings, topic, anyway=anyway)))


@dataclass(frozen=True, slots=True)
class TopicLine:
    """A topic. ``partitions_in_kafka`` and ``records_left`` are None where Kafka does not tell; times are RFC 3339."""

    topic: str
    is_listed: bool
    state: str
    retired_at: str | None
    partitions_stored: int
    partitions_in_kafka: int | None
    records_left: int | None
    readers: list[str]
    oldest_watermark: str | None


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics, and sentences on what Kafka did not tell."""

    topics: list[TopicLine]
    problems: list[str]


def read_topics(client: Client, settings: Settings) -> Topics:
    """Gather the topics of the list and those that are stored."""
    stored = read_stored(client, stored_cluster_id(settings, client))
    names = sorted({*settings.topics, *stored.topics})
    states, ends, problems = _ask_kafka(settings, names)
    return Topics([_line(name, settings, stored, states.get(name), ends) for name in names], problems)


def _ask_kafka(settings: Settings, names: Sequence[str]) -> tuple[Mapping[str, TopicState], LogEnds, list[str]]:
    """The topics as Kafka has them, the ends of their logs, and a sentence for whatever it does not tell."""
    try:
        states = describe_topics(settings, names)
    except CommandError as error:
        return {}, LogEnds(), [str(error)]
    ends = log_ends(settings, [Place(name, number) for name in names for number in range(states[name].partitions)])
    hidden = [name for name, state in states.items() if not (state.partitions or state.is_gone)]
    return states, ends, [*(not_shown(name, states[name]) for name in hidden), *ends.problems.values()]


def _line(name: str, settings: Settings, stored: Stored, state: TopicState | None, ends: LogEnds) -> TopicLine:
    reports = {place: report for place, report in stored.reports.items() if place.topic == name}
    in_kafka = state.partitions if state and (state.partitions or state.is_gone) else None
    retired_ms = stored.retired.get(name, 0)
    return TopicLine(
        topic=name,
        is_listed=name in settings.topics,
        state=_state(retired_ms, state, is_read=bool(reports)),
        retired_at=rfc3339(retired_ms),
        partitions_stored=len(reports),
        partitions_in_kafka=in_kafka,
        records_left=records_left(name, stored, state, ends),
        readers=list(stored.readers.get(name, ())),
        oldest_watermark=rfc3339(min((report.watermark_ms for report in reports.values()), default=0)),
    )


def _state(retired_ms: int, state: TopicState | None, *, is_read: bool) -> str:
    if retired_ms:
        return f"retired since {rfc3339(retired_ms)}"
    if state is not None and not state.partitions:
        return GONE if state.is_gone else HIDDEN
    return IN_USE if is_read else NEVER_READ


def records_left(name: str, stored: Stored, state: TopicState | None, ends: LogEnds) -> int | None:
    """Records in Kafka beyond what is durable; None where it does not tell, 0 where it knows no such topic."""
    if state is None or name in ends.problems or not (state.partitions or state.is_gone):
        return None
    places = [Place(name, number) for number in range(state.partitions)]
    starts = {place: report.next_offset for place, report in stored.reports.items()}
    return sum(ends.of[place].left(starts.get(place, 0)) for place in places)


def render(found: Topics) -> list[str]:
    """The topics as lines of text."""
    wide = max(len(line.topic) for line in found.topics)
    state = max(len(line.state) for line in found.topics)
    head = f"{'topic':<{wide}} {'listed':<6} {'partitions':>10} {'left':>12}  {'state':<{state}}  {'watermark':<24}"
    return [*found.problems, f"{head}  read by", *(_text(line, wide, state) for line in found.topics)]


def _text(line: TopicLine, wide: int, state: int) -> str:
    in_kafka, left = ("?" if v is None else str(v) for v in (line.partitions_in_kafka, line.records_left))
    counts = f"{f'{line.partitions_stored} of {in_kafka}':>10} {left:>12}"
    times = f"{line.state:<{state}}  {line.oldest_watermark or 'none':<24}"
    listed = "yes" if line.is_listed else "no"
    return f"{line.topic:<{wide}} {listed:<6} {counts}  {times}  {', '.join(line.readers) or 'nobody'}"


def retire(client: Client, settings: Settings, topic: str, *, anyway: bool) -> list[str]:
    """Retire a topic, and say what follows. Raises Refused where that would let `as_of` pass what somebody reads."""
    ours = stored_cluster_id(settings, client)
    store = open_store(settings, ours)
    before: Marks = drive(marks_steps(), store.perform)  # first: who begins to read it from now on wins
    stored = read_stored(client, ours)
    if topic in settings.topics:
        raise Refused(
            f"the topic {topic} is on the list here (MSGMETRICS_KAFKA_TOPIC); take it off the list of every worker and "
            "of this command, and then retire it"
        )
    if topic not in stored.topics:
        raise Refused(
            f"no progress of a topic {topic} is stored, so that nothing waits for it; `msgmetrics topics list` has the "
            "names"
        )
    if topic in stored.retired:
        return [f"the topic {topic} is retired since {rfc3339(stored.retired[topic])}"]
    if readers := stored.readers.get(topic):
        raise Refused(
            f"the topic {topic} is being read by {', '.join(readers)}; take it off that list, and wait until it is not"
        )
    said = _check_left(settings, topic, stored, ours, anyway=anyway)
    if not drive(retire_steps(topic, before.moved[topic]), store.perform):
        raise Refused(
            f"somebody has read the topic {topic} meanwhile, so that it is not retired; see who, and try again"
        )
    return [
        *said,
        f"the topic {topic} is retired: as_of no longer waits for it. A worker that reads it again takes that back",
    ]


def _check_left(settings: Settings, topic: str, stored: Stored, ours: str, *, anyway: bool) -> list[str]:
    """Sentences on what is given up, or on a topic that is gone. Raises Refused where that was not asked for."""
    states, ends, problems = _ask_kafka(settings, [topic])
    left = records_left(topic, stored, states.get(topic), ends)
    if states and (theirs := cluster_id(settings)) != ours:
        left, problems = None, [f"progress is stored of Kafka cluster {ours}, and {theirs} answers"]
    elif topic in states and states[topic].is_gone:
        return [f"Kafka knows no topic {topic}, so that nothing is left of it; {UNCOUNTED}"]
    if left == 0:
        return _check_committed(settings, topic, stored, anyway=anyway)
    what = (
        f"{count_records(left)} of the topic {topic} {'is' if left == 1 else 'are'} not read"
        if left
        else "; ".join(problems)
    )
    if anyway:
        return [what]
    if left:
        raise Refused(f"{what}; let a worker read them first, or give them up with --anyway")
    raise Refused(f"{what}, so that records of the topic {topic} may be left; try again, or give them up with --anyway")


def _check_committed(settings: Settings, topic: str, stored: Stored, *, anyway: bool) -> list[str]:
    """A sentence where somebody must look. Raises Refused where that was not asked for.

    What is durable is committed once all that came late in it is in every number: a worker that was killed in between
    has left that to the next one.
    """
    offsets = {place: report.next_offset for place, report in stored.reports.items() if place.topic == topic}
    committed = committed_offsets(settings, offsets)
    if not any(offset > committed[place] for place, offset in offsets.items()):
        return []
    what = f"the group {settings.kafka_group} has not committed all that was read of the topic {topic}"
    if anyway:
        return [f"{what}; {UNCOUNTED}"]
    raise Refused(
        f"{what}, so that late events of it may be missing from numbers: let a worker read it once more, or name the "
        "group that did in MSGMETRICS_KAFKA_GROUP; with --anyway, run `msgmetrics reconcile` afterwards"
    )
