"""``msgmetrics rebuild``: rollups of a span, computed anew from facts."""

import click
from tqdm import tqdm

from deploy.cli.arguments import ORG
from deploy.cli.clickhouse import check_clocks, with_store
from deploy.cli.context import FROM, TO, Context, check_span, is_terminal, say, warn
from deploy.cli.interruption import unfinished
from deploy.errors import Refused
from pipeline.clickhouse.store import Store
from pipeline.core.effects import Effect, ReadState, RebuildBuckets, State
from pipeline.core.protocol import rebuild_spans, rebuild_steps
from pipeline.repair.lease import run_leased
from schemas.grain import MS_PER_SECOND, Grain
from schemas.instant import Span, rfc3339, second

UNFINISHED = "rows that were rebuilt stay, the others are as they were; nobody finishes it, so run it again"


@click.command()
@FROM
@TO
@ORG
@click.pass_obj
def rebuild(context: Context, start: int, end: int, org: str) -> None:
    """Compute rollups anew from facts.

    Takes in whole UTC days, beside the live workers. Mends rows that are wrong, missing, or should not be; readers
    never see a hole.

    \b
    Example:
      msgmetrics rebuild --from 2026-05-05T00:00:00Z --to 2026-05-06T00:00:00Z
    """
    span = check_span(start, end)
    say(
        with_store(
            context,
            lambda store, _: rebuild_span(store, span, org, is_terminal()),
            org=org,
        )
    )


def rebuild_span(store: Store, span: Span, org: str, watched: bool) -> str:
    """Rebuild, and say what was rebuilt; ``watched`` shows a progress bar.

    Raises Refused where facts have expired, and where there is nothing to rebuild.
    """
    state: State = store.perform(ReadState())
    check_clocks(state)
    if Grain.DAY.floor(span.start) * MS_PER_SECOND < state.facts_floor_ms:
        raise Refused(
            f"facts are complete only since {rfc3339(state.facts_floor_ms)}; what is before cannot be computed from "
            "them. Its rollups stay as they are; begin the span there"
        )
    total = len(rebuild_spans(span.start, span.end, state))
    if not total:
        as_of = rfc3339(state.as_of_ms) or "not set"
        raise Refused(f"nothing of the span is aggregated yet (as_of is {as_of}), so there is nothing to rebuild")
    with tqdm(total=total, desc="rebuilding", unit=" statements", disable=not watched) as bar:

        def progress(effect: Effect) -> None:
            bar.update(isinstance(effect, RebuildBuckets))

        steps = rebuild_steps(span.start, span.end, org)
        with unfinished(UNFINISHED):
            done = run_leased(store, "rebuild", steps, progress, warn)
    whose = f" of {org}" if org else ""
    return f"rebuilt{whose} {second(done.start)} to {second(done.end)} as generation {done.generation}"
