"""``msgmetrics statements close``, ``adjust`` and ``resume``: revisions of a month."""

from collections.abc import Sequence
from dataclasses import replace

import click

from deploy.cli.arguments import ANY_ORG_ARGUMENT
from deploy.cli.clickhouse import check_clocks, with_store
from deploy.cli.context import Context, say, warn
from deploy.cli.interruption import unfinished
from deploy.cli.reconcile import wait_for_late
from deploy.cli.statement_patience import Patience
from deploy.cli.statement_texts import PERIOD_OPTION, PERIODS_OPTION, stated
from deploy.errors import CommandError, Refused, Usage
from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadState, State
from pipeline.core.statements.deciding import Order, Reason, Refusal, Unchanged
from pipeline.core.statements.steps import Appended, NotYet, Result, state_steps
from pipeline.repair.lease import run_leased
from pipeline.repair.reconcile import Reconciler
from schemas.grain import Grain
from schemas.period import Period
from schemas.settings import Settings

UNFINISHED = "what was stated stays so, and the same command goes on with the rest: it is safe to run it again"
RESUME = "statements/resume"
SHOWN = 5
OVERTAKEN = "somebody else has stated it at the same time, and that revision counts"

ALL = click.option("--all", "of_all", is_flag=True, help="every organization that has numbers or a statement")
PARTIAL = click.option(
    "--partial", is_flag=True, help="also where numbers from before the first rollup are missing; the document says so"
)


@click.command("close")
@ANY_ORG_ARGUMENT
@ALL
@PERIOD_OPTION
@PARTIAL
@click.pass_obj
def statements_close(context: Context, org: str, of_all: bool, period: Period, partial: bool) -> None:
    """State a month: the first revision of the organization ORG, or of all.

    The month must have ended and be aggregated to its end. Where there is a revision already nothing is written; what
    has changed since is stated by `adjust`.

    \b
    Examples:
      msgmetrics statements close --all --period 2026-10
      msgmetrics statements close acme --period 2026-10
    """
    _state(context, [Order(period, _whose(org, of_all), partial=partial)])


@click.command("adjust")
@ANY_ORG_ARGUMENT
@ALL
@PERIODS_OPTION
@PARTIAL
@click.option("--accept-lower", "lower", is_flag=True, help="take numbers back: of one organization, after a rebuild")
@click.pass_obj
def statements_adjust(
    context: Context, org: str, of_all: bool, periods: tuple[Period, ...], partial: bool, lower: bool
) -> None:
    """State what has changed: another revision where numbers differ from the newest one.

    Late events and prices do that. An organization that has had no statement of the month gets its first one. What is
    to be billed is the difference of two neighbours, which `diff` shows.

    \b
    Examples:
      msgmetrics statements adjust --all --period last --period before-last
      msgmetrics statements adjust acme --period 2026-10
    """
    if lower and of_all:
        raise Usage("--accept-lower is about one organization: name it, and see first what `statements diff` shows")
    whose = _whose(org, of_all)
    _state(context, [Order(period, whose, adjusts=True, partial=partial, lower=lower) for period in periods])


@click.command("resume")
@click.pass_obj
def statements_resume(context: Context) -> None:
    """Go on after a restore: say that no statement is missing.

    A backup lacks what was stated after it was made. Revisions made without that would be billed again, so none is made
    until you have imported what was exported since, or know that nothing was stated since.

    \b
    Examples:
      msgmetrics statements import exported.ndjson
      msgmetrics statements resume
    """
    with_store(context, lambda store, _: store.write("resuming statements", sql(RESUME)))
    say("statements go on: none is missing")


def _whose(org: str, of_all: bool) -> str:
    """The organization, or '' for all. Raises Usage unless exactly one of both is said."""
    if bool(org) == of_all:
        raise Usage("say of whom: an organization's id, or --all")
    return org


def _state(context: Context, orders: Sequence[Order]) -> None:
    """Close or adjust months, one after the other. Raises Refused at the end, where anything was refused."""
    refused = list[str]()
    for order in orders:
        try:
            refused += _refused(context, order)
        except CommandError as error:
            raise type(error)("\n".join([*refused, str(error)])) from None
    if refused:
        raise Refused("\n".join(refused))


def _refused(context: Context, order: Order) -> list[str]:
    """Close or adjust a month, and say what was done. Returns why something was not done."""
    try:
        results = with_store(context, lambda store, settings: state_period(store, settings, order), org=order.org_id)
    except Refused as error:
        return [str(error)]
    if sentences := _sentences(order, results):
        say(*sentences)
    return _folded([refusal for refusal in _refusals(results) if not _is_settled(order, refusal)])


def _folded(refusals: Sequence[Refusal]) -> list[str]:
    """Sentences of refusals, of many for one reason the first ones."""
    lines = list[str]()
    for reason in dict.fromkeys(refusal.reason for refusal in refusals):
        same = [refusal.sentence for refusal in refusals if refusal.reason is reason]
        lines += same[:SHOWN]
        if len(same) > SHOWN:
            lines.append(f"… and {len(same) - SHOWN} more organizations: {reason}")
    return lines


def _refusals(results: Sequence[Result]) -> list[Refusal]:
    return [r.outcome for r in results if isinstance(r.outcome, Refusal)]


def state_period(store: Store, settings: Settings, order: Order) -> Sequence[Result]:
    """Close or adjust. Raises Refused while nothing of the period may be stated."""
    state: State = store.perform(ReadState())
    check_clocks(state)
    try:
        differing = _differing(store, settings, order, state)
        steps = state_steps(replace(order, differing=differing))
        with unfinished(UNFINISHED):
            return run_leased(store, f"statements {_verb(order)} {order.period.name}", steps, Patience(), warn)
    except NotYet as error:
        raise Refused(str(error)) from None


def _verb(order: Order) -> str:
    return "adjust" if order.adjusts else "close"


def _differing(store: Store, settings: Settings, order: Order, state: State) -> frozenset[str]:
    """Organizations of which a day differs from its hours, after recomputes that were under way have ended."""
    if state.as_of_ms < order.period.end_ms:
        return frozenset()
    reconciler = Reconciler(store, order.org_id, wait_for_late, late_pause_seconds=settings.late_pause_seconds)
    result = reconciler.compare(order.period.start, order.period.end, (Grain.DAY,))
    if not result.is_complete:
        raise Refused(
            "days differ from their hours everywhere; wait until late events are counted, then `msgmetrics reconcile` "
            "shows what is left"
        )
    return frozenset(d.org_id for d in result.differences)


def _is_settled(order: Order, refusal: Refusal) -> bool:
    """Whether nothing is left to be done about a refusal. Of all, who was erased is left out for good, and a month that
    nobody has closed need not be adjusted."""
    return not order.org_id and refusal.reason in (Reason.ERASED, Reason.NEVER_CLOSED)


def _sentences(order: Order, results: Sequence[Result]) -> list[str]:
    """Sentences on the outcome for each organization; of all, the counts of each kind as well."""
    month, refusals = order.period.name, _refusals(results)
    if any(refusal.reason is Reason.NEVER_CLOSED for refusal in refusals) and not order.org_id:
        return [f"{month}: nobody has closed it, so there is nothing to adjust"]
    made = [(r, r.outcome) for r in results if isinstance(r.outcome, Appended)]
    same = [r for r in results if isinstance(r.outcome, Unchanged)]
    lines = [stated(r.newest, appended.size) for r, appended in made if r.newest and r.is_stated]
    lines += [f"{r.org_id}: {OVERTAKEN}" for r, _ in made if not r.is_stated]
    lines += [f"left out: {line}" for line in _folded([r for r in refusals if _is_settled(order, r)])]
    if order.org_id:
        return lines + [f"{r.org_id} {month} {_as_it_was(r)}: nothing to state" for r in same]
    if not results:
        return [f"{month}: no organization has numbers"]
    return [*lines, f"{month}: {len(made)} stated, {len(same)} as they were, {len(refusals)} refused or left out"]


def _as_it_was(result: Result) -> str:
    return f"is revision {result.newest.revision}" if result.newest else "has no numbers"
