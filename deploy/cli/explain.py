"""``msgmetrics explain``: the facts behind a number, or the whereabouts of an event."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from deploy.cli.arguments import EVENT, ORGANIZATION, choice
from deploy.cli.clickhouse import with_store
from deploy.cli.context import INSTANT, Context, say
from deploy.cli.counted import counted, plain_number
from deploy.cli.letters import told_incarnations
from deploy.errors import Usage
from deploy.sql import sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadErasures, ReadState, State
from pipeline.core.generation import generation_of
from pipeline.core.place import Place, stored_place
from schemas import tables
from schemas.grain import MS_PER_SECOND, Grain
from schemas.instant import rfc3339, second
from schemas.message_event import TYPES

SHOWN_FACTS, SHOWN_LETTERS = 100, 20
METRICS = ("sent", "delivered", "failed", "charged", "cost_cents")
_TYPES = {kind.removeprefix("message."): kind for kind in TYPES}


@click.command()
@click.option("--org", required=True, type=ORGANIZATION, help="the organization")
@click.option("--bucket", type=INSTANT, help="a time in the bucket to explain")
@click.option("--granularity", type=click.Choice([g.value for g in Grain]), help="minute, hour or day")
@choice("--metric", click.Choice(METRICS), "sent, delivered, failed, charged or cost_cents [all]")
@click.option("--event", type=EVENT, help="an event id to look for, instead of a bucket")
@click.pass_obj
def explain(
    context: Context, org: str, bucket: int | None, granularity: str | None, metric: str, event: str | None
) -> None:
    """Show what is behind a number.

    Its facts with partition and offset; or where an event went.

    \b
    Examples:
      msgmetrics explain --org acme --bucket 2026-05-05T10:00:00Z --granularity hour
      msgmetrics explain --org acme --event 9f0c6a52
    """
    if event is not None and bucket is None and granularity is None:
        say(*with_store(context, lambda store, settings: explain_event(store, org, event, settings.topics)))
    elif event is None and bucket is not None and granularity is not None:
        grain = Grain(granularity)
        say(*with_store(context, lambda store, _: explain_bucket(store, org, bucket, grain, metric), org=org))
    else:
        raise Usage("give either --event, or --bucket and --granularity")


def explain_bucket(store: Store, org: str, bucket: int, grain: Grain, metric: str) -> list[str]:
    """Describe a bucket of an organization: its number, its state, the facts behind it. ``metric`` is '' for all."""
    start, end = grain.floor(bucket), grain.floor(bucket) + grain.seconds
    state: State = store.perform(ReadState())
    is_closed = end * MS_PER_SECOND <= state.as_of_ms
    rows = _rows(store, "cli/explain_bucket", table=tables.rollup_table(grain), org=org, bucket=start)
    wanted = [_TYPES[metric]] if metric in _TYPES else TYPES
    facts = read_facts(store, org, start, end, types=wanted)
    lines = [f"{grain} {second(start)} to {second(end)} of {org}"]
    lines += [_state(is_closed, rows, state)]
    lines += _numbers(rows, metric, is_closed)
    lines += [
        f"closed {rfc3339(at)} by {worker} in {duration} ms, with everything from {rfc3339(since)} to {rfc3339(until)}"
        for since, until, worker, duration, at in _rows(store, "cli/explain_closings", instant=end)
    ]
    if state.facts_floor_ms > start * MS_PER_SECOND:
        lines.append(f"facts are kept since {rfc3339(state.facts_floor_ms)} only; the number stays without them")
    return [*lines, "", *fact_lines(facts[:SHOWN_FACTS], has_more=len(facts) > SHOWN_FACTS)]


def read_facts(
    store: Store, org: str, start: int, end: int, *, types: Sequence[str], channel: str = "", any_cost: bool = False
) -> Any:
    """The first facts of a span (epoch seconds) in the order in which they happened, and one more than are shown.

    Those of some types, of one channel or of all (''), and with ``any_cost`` those of any type that have a cost.
    """
    where = {"org": org, "start": start, "end": end, "types": list(types), "channel": channel}
    return _rows(store, "cli/explain_facts", any_cost=int(any_cost), limit=SHOWN_FACTS + 1, **where)


def _rows(store: Store, name: str, **parameters: Any) -> Any:
    return store.rows("explaining", sql(name), **parameters)


def _state(is_closed: bool, rows: Any, state: State) -> str:
    as_of = rfc3339(state.as_of_ms) or "not set"
    if not is_closed:
        return f"not aggregated yet: it ends after as_of ({as_of}), and the endpoint answers null"
    if not rows:
        return f"closed (as_of is {as_of}) and without a row: the endpoint answers 0"
    facts, stamp, computed_ms = rows[0][len(METRICS) :]
    return (
        f"closed (as_of is {as_of}); computed {rfc3339(int(computed_ms))} from {facts} facts, "
        f"generation {generation_of(int(stamp))}"
    )


def _numbers(rows: Any, metric: str, is_closed: bool) -> list[str]:
    if not rows or not is_closed:
        return []
    values = dict(zip(METRICS, rows[0][: len(METRICS)], strict=True))
    return [f"{name} {plain_number(value)}" for name, value in values.items() if metric in ("", name)]


def fact_lines(facts: Any, *, has_more: bool) -> list[str]:
    """Facts as lines of text: rows of explain_facts.sql."""
    lines = [f"{'occurred at':<24} {'event':<38} {'type':<18} {'channel':<10} {'error':<16} {'cents':>10}  record"]
    lines += [
        f"{rfc3339(int(at)):<24} {event:<38} {kind:<18} {channel:<10} {code:<16} {plain_number(cost):>10}  "
        f"{stored_place(topic, partition).at(offset)}, {rfc3339(int(record_ms))}"
        for event, kind, channel, code, cost, at, record_ms, topic, partition, offset in facts
    ]
    if not facts:
        return ["no facts"]
    return lines + (["… and more"] if has_more else [])


def explain_event(store: Store, org: str, event: str, topics: Sequence[str]) -> list[str]:
    """Find an event of an organization: a fact, a dead letter, erased, or never seen in the ``topics``."""
    facts = _rows(store, "cli/explain_event", org=org, event=event)
    letters = _rows(store, "cli/explain_letters", org=org, event=event, limit=SHOWN_LETTERS + 1)
    erased_ms = store.perform(ReadErasures()).get(org, 0)
    lines = [
        f"{counted(kind, int(at))}; record {stored_place(topic, partition).at(offset)}, {rfc3339(int(record_ms))}"
        for at, record_ms, kind, topic, partition, offset in facts
    ]
    lines += [
        f"{kind} was sent with this id for {times} times, and each is counted: the producer breaks the contract"
        for kind, times in Counter(fact[2] for fact in facts).items()
        if times > 1
    ]
    told = told_incarnations(((cluster, *place), n) for *place, n, _, _, _, _, cluster, _ in letters)
    shown = [(_letter(x, made, store.cluster_id), x[-1]) for x, made in zip(letters, told, strict=True)][:SHOWN_LETTERS]
    named = [line for line, is_named in shown if is_named]
    lines += named
    if erased_ms:
        lines.append(f"{org} was erased up to {rfc3339(erased_ms)}: records until then are gone, and are dropped")
    if not facts and not named:
        lines.append(_never_seen(store, topics))
    lines += [f"perhaps it, since its bytes hold the id: {line}" for line, is_named in shown if not is_named]
    return lines + (["… and more"] if len(letters) > SHOWN_LETTERS else [])


def _letter(row: Any, incarnation: str, cluster_in_use: str) -> str:
    topic, partition, offset, _, kind, reason, detail, record_ms, cluster, _ = row
    about = [
        kind,
        f"record time {rfc3339(int(record_ms)) or 'none'}",
        incarnation,
        "" if cluster == cluster_in_use else f"of Kafka cluster {cluster}",
    ]
    return f"dead letter {Place(topic, partition).at(offset)}: {reason}: {detail} ({', '.join(filter(None, about))})"


def _never_seen(store: Store, topics: Sequence[str]) -> str:
    where = topics[0] if len(topics) == 1 else f"any of {', '.join(topics)}"
    state: State = store.perform(ReadState())
    return (
        "never seen: neither a fact nor a dead letter has this id. It was not published to "
        f"{where}, or not read yet (as_of is {rfc3339(state.as_of_ms) or 'not set'}; `msgmetrics status` shows "
        "the lag), or its facts have expired"
    )
