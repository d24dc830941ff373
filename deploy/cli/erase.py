"""What rebuild, reconcile and erase do and say."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import click
import msgspec
from tqdm import tqdm

from deploy.cli.accounts import list_keys, revoke_key
from deploy.errors import Refused
from pipeline.clickhouse.client import ClickHouse
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Effect, ReadState, RebuildBuckets, State
from pipeline.core.protocol import erase_steps, rebuild_spans, rebuild_steps
from pipeline.repair.lease import run_leased
from pipeline.repair.reconcile import Difference, Number, Reconciliation, Violation
from schemas.connection import connect
from schemas.grain import MS_PER_SECOND, Grain
from schemas.instant import Span, rfc3339, second
from schemas.settings import Settings

SHOWN = 200
_COUNT = """
SELECT
    (SELECT count() FROM facts FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM dead_letters FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM rollup_minute FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM rollup_hour FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM rollup_day FINAL WHERE org_id = {org:String}),
    (SELECT count() FROM api_keys FINAL WHERE org_id = {org:String} AND revoked_at = toDateTime64(0, 3, 'UTC'))
"""


def rebuild_span(store: Store, span: Span, org: str, floor_ms: int, watched: bool) -> str:
    """Rebuild, with a progress bar where somebody watches. Raises Refused where facts have expired."""
    state: State = store.perform(ReadState())
    floor_ms = max(floor_ms, state.facts_floor_ms)
    if Grain.DAY.floor(span.start) * MS_PER_SECOND < floor_ms:
        raise Refused(
            f"facts are complete only since {rfc3339(floor_ms)}; what is before cannot be computed from them. "
            "Its rollups stay as they are; begin the span there"
        )
    total = len(rebuild_spans(span.start, span.end, state, floor_ms))
    with tqdm(total=total, desc="rebuilding", unit=" statements", disable=not watched) as bar:

        def progress(effect: Effect) -> None:
            bar.update(isinstance(effect, RebuildBuckets))

        steps = rebuild_steps(span.start, span.end, floor_ms, org)
        done = run_leased(store, "rebuild", steps, progress, _warn)
    whose = f" of {org}" if org else ""
    return f"rebuilt{whose} {second(done.start)} to {second(done.end)} as generation {done.generation}"


def _warn(problem: str) -> None:
    click.echo(f"waiting: {problem}", err=True)


def erasure_preview(store: Store, settings: Settings, org: str) -> str:
    """What there is of an organization, what will stay where, and how long."""
    facts, letters, minutes, hours, days, keys = map(int, _counts(store, org))
    return "\n".join(
        [
            f"{org} has {facts} facts, {letters} dead letters, {minutes + hours + days} rollup rows "
            f"({minutes} minutes, {hours} hours, {days} days) and {keys} valid keys. Erasing removes all of it.",
            f"What stays: its records in Kafka's topic {settings.kafka_topic} until the topic's own retention; dead "
            "letters so broken that nobody can be named for them, until "
            f"{settings.dead_letter_retention_days} days after they were seen; its id, in the list of erasures, by "
            "which its records are dropped wherever they turn up again; backups that were made before.",
        ]
    )


def _counts(store: ClickHouse, org: str) -> Any:
    return store.rows("counting", _COUNT, org=org)[0]


def erase_organization(store: Store, org: str, at_ms: int, floor_ms: int) -> str:
    """Revoke the keys, delete, and look once more. Raises Refused where something is left."""
    client = connect(store.endpoint)
    for key in list_keys(client, org):
        if key.revoked_at is None:
            revoke_key(client, key.id, datetime.fromtimestamp(at_ms / MS_PER_SECOND, UTC))
    run_leased(store, f"erase {org}", erase_steps(org, at_ms, floor_ms), lambda _: None, _warn)
    facts, letters, minutes, hours, days, keys = map(int, _counts(store, org))
    if keys:
        raise Refused(f"{org} has a key again; revoke it and erase once more")
    return (
        f"erased {org} up to {rfc3339(at_ms)}; of what it has sent since, there are {facts} facts, {letters} dead "
        f"letters and {minutes + hours + days} rollup rows"
    )


# -- what a reconciliation says -------------------------------------------------------------------------------------


def _exact(value: Number) -> Any:
    """A number as JSON writes it, without a binary float in between."""
    return msgspec.Raw(f"{value:f}".encode()) if isinstance(value, Decimal) else value


def as_document(result: Reconciliation) -> dict[str, Any]:
    """The answer of ``reconcile --json``."""
    return {
        "from": second(result.start),
        "to": second(result.end),
        "checked": {grain.value: count for grain, count in result.checked.items()},
        "differences": [
            {
                "grain": d.grain.value,
                "org_id": d.org_id,
                "bucket_start": second(d.bucket_start),
                "field": d.field,
                "expected": _exact(d.expected),
                "found": _exact(d.found),
            }
            for d in result.differences
        ],
        "violations": [
            {
                "org_id": v.org_id,
                "event_id": v.event_id,
                "occurred_at": [rfc3339(at) for at in v.times_ms],
                "records": [{"partition": p, "offset": o} for p, o in v.places],
            }
            for v in result.violations
        ],
    }


def as_text(result: Reconciliation) -> str:
    """The same for a person."""
    checked = ", ".join(f"{count} {grain.value}s" for grain, count in result.checked.items())
    lines = [f"{second(result.start)} to {second(result.end)}: looked at {checked}"]
    lines += [_difference(d) for d in result.differences[:SHOWN]]
    if len(result.differences) > SHOWN:
        lines.append(f"… and {len(result.differences) - SHOWN} more; --json has them all")
    if result.differences:
        lines.append(
            f"{len(result.differences)} numbers differ. `msgmetrics rebuild` of the same span computes them anew"
        )
    else:
        lines.append("every rollup says what it was computed from")
    lines += [_violation(v) for v in result.violations[:SHOWN]]
    if result.violations:
        lines.append(
            f"{len(result.violations)} event ids were used for more than one time; each time is counted. "
            "Tell the producer: one id per event, and a repeated event is the same event"
        )
    return "\n".join(lines)


def _difference(d: Difference) -> str:
    return f"{d.grain:<6} {second(d.bucket_start)} {d.org_id} {d.field}: expected {d.expected}, found {d.found}"


def _violation(v: Violation) -> str:
    seen = ", ".join(
        f"{rfc3339(at)} (partition {p}, offset {o})" for at, (p, o) in zip(v.times_ms, v.places, strict=True)
    )
    return f"violation: {v.org_id} used {v.event_id} at {seen}"
