"""How things stand: status, doctor, explain."""

import sys
import time

import click
import msgspec

from deploy.cli.context import INSTANT, Context, clock_ms, connected, with_store
from deploy.errors import Usage
from schemas.grain import Grain

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
    from deploy.cli.status import read_status, render

    while True:
        found = connected(context, read_status)
        if watch and not as_json:
            click.clear()
        click.echo(msgspec.json.encode(found.as_json()) if as_json else render(found))
        if not watch:
            sys.exit(0 if found.ready else 1)
        time.sleep(WATCH_SECONDS)


@click.command()
@click.pass_obj
def doctor(context: Context) -> None:
    """Check what a worker needs, and say what to do.

    Settings, Kafka, the topic, ClickHouse, clocks and migrations. Exit code 1 when something fails.
    """
    from deploy.cli.doctor import Verdict, examine

    failed = False
    for finding in examine(context.settings, clock_ms):
        failed |= finding.verdict is Verdict.FAIL
        click.echo(f"{finding.verdict.value:<5} {finding.text}")
    sys.exit(1 if failed else 0)


@click.command()
@click.option("--org", required=True, metavar="ORG", help="the organization")
@click.option("--bucket", type=INSTANT, help="a time in the bucket to explain")
@click.option("--granularity", type=click.Choice([g.value for g in Grain]), help="minute, hour or day")
@click.option("--metric", default="", help="sent, delivered, failed or cost_cents [all]")
@click.option("--event", help="an event id to look for, instead of a bucket")
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
    from deploy.cli.explain import METRICS, explain_bucket, explain_event

    if metric and metric not in METRICS:
        raise Usage(f"--metric must be one of {', '.join(METRICS)}, not {metric!r}")
    if event is not None and bucket is None and granularity is None:
        click.echo(with_store(context, lambda store, _: explain_event(store, org, event)))
    elif event is None and bucket is not None and granularity is not None:
        grain = Grain(granularity)
        click.echo(with_store(context, lambda store, _: explain_bucket(store, org, bucket, grain, metric)))
    else:
        raise Usage("give either --event, or --bucket and --granularity")
