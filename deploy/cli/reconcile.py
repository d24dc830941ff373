"""``msgmetrics reconcile``: differences and violations, as text or JSON."""

import sys
import time
from decimal import Decimal
from typing import Any

import click
import msgspec
from tqdm import tqdm

from deploy.cli.arguments import ORG
from deploy.cli.clickhouse import with_store
from deploy.cli.context import FROM, TO, Context, check_span, is_terminal, say, warn
from deploy.terminal import safe_json
from pipeline.repair.reconcile import MAX_DIFFERENCES, Difference, Number, Reconciler, Reconciliation, Violation
from schemas.instant import rfc3339, second

SHOWN = 200


@click.command()
@FROM
@TO
@ORG
@click.option("--json", "as_json", is_flag=True, help="as JSON")
@click.pass_obj
def reconcile(context: Context, start: int, end: int, org: str, as_json: bool) -> None:
    """Prove that rollups are right.

    Holds minutes against facts, hours against minutes, days against hours. Prints each number that differs, with both
    sides, and events that were sent with more than one time. Looks again where something differs, for over a minute,
    so that late events which are just being counted do not show. Exit code 1 when anything differs.

    \b
    Example:
      msgmetrics reconcile --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z --org acme
    """
    span = check_span(start, end)
    with tqdm(unit=" steps", disable=not is_terminal()) as bar:

        def show(doing: str, passed: int, total: int) -> None:
            bar.set_description(doing, refresh=False)
            bar.total, bar.n = total, passed
            bar.update(0)

        result = with_store(
            context,
            lambda store, settings: Reconciler(store, org, wait_for_late, show, settings.late_pause_seconds).run(
                span.start, span.end
            ),
            org=org,
        )
    say(*([safe_json(as_document(result))] if as_json else as_text(result)))
    sys.exit(1 if result.differences or not result.is_complete else 0)


def wait_for_late(seconds: float) -> None:
    """Sleep, and say why: in between, recomputes that are under way end."""
    warn(f"something differs; looking again in {seconds:.0f} s, since late events that are under way may explain it")
    time.sleep(seconds)


def _exact(value: Number) -> Any:
    """A number as JSON, without a binary float in between."""
    return msgspec.Raw(f"{value:f}".encode()) if isinstance(value, Decimal) else value


def as_document(result: Reconciliation) -> dict[str, Any]:
    """The answer of ``reconcile --json``."""
    return {
        "from": second(result.start),
        "to": second(result.end),
        "is_complete": result.is_complete,
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
                "type": v.type,
                "occurred_at": [rfc3339(at) for at in v.times_ms],
                "records": [
                    {"topic": place.topic, "partition": place.number, "offset": offset} for place, offset in v.places
                ],
            }
            for v in result.violations
        ],
    }


def as_text(result: Reconciliation) -> list[str]:
    """A reconciliation as lines of text."""
    checked = ", ".join(f"{count} {grain.value}s" for grain, count in result.checked.items())
    lines = [f"{second(result.start)} to {second(result.end)}: looked at {checked}"]
    lines += [_difference(d) for d in result.differences[:SHOWN]]
    if len(result.differences) > SHOWN:
        lines.append(f"… and {len(result.differences) - SHOWN} more; --json has them all")
    if not result.is_complete:
        lines.append(f"more than {MAX_DIFFERENCES} numbers differed at once, so not all were compared; run it again")
    elif not result.differences and any(result.checked.values()):
        lines.append("every rollup says what it was computed from")
    elif not result.differences:
        lines.append("nothing was compared: no closed bucket of the span has a number, and no fact lies in one")
    if result.differences:
        lines.append(
            f"{len(result.differences)} numbers differ. `msgmetrics rebuild` of the same span computes them anew"
        )
    lines += [_violation(v) for v in result.violations[:SHOWN]]
    if result.violations:
        lines.append(
            f"{len(result.violations)} events were sent with more than one time; each time is counted. "
            "Tell the producer: one id per event of a type, and a repeated event is the same event"
        )
    return lines


def _difference(d: Difference) -> str:
    return f"{d.grain:<6} {second(d.bucket_start)} {d.org_id} {d.field}: expected {d.expected}, found {d.found}"


def _violation(v: Violation) -> str:
    seen = ", ".join(
        f"{rfc3339(at)} ({place.at(offset)})" for at, (place, offset) in zip(v.times_ms, v.places, strict=True)
    )
    return f"violation: {v.org_id} sent {v.event_id} ({v.type}) at {seen}"
