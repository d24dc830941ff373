"""``msgmetrics migrate``: ClickHouse's tables and Kafka's topics."""

import click

from deploy.cli.clickhouse import open_clickhouse
from deploy.cli.context import Context, say
from deploy.cli.kafka import ensure_topics
from deploy.cli.problems import command_errors
from deploy.migrations import apply


@click.command()
@click.option("--partitions", type=click.IntRange(1, 10_000), help="partitions of a topic, where it is made [8]")
@click.option("--create", is_flag=True, help="make missing topics also where several are listed")
@click.pass_obj
def migrate(context: Context, partitions: int | None, create: bool) -> None:
    """Set up ClickHouse and Kafka; safe to repeat.

    Applies the migrations and the retention settings, and makes the topic where it is missing. Where
    MSGMETRICS_KAFKA_TOPIC lists several, missing ones are made with --create, else said to be missing.

    \b
    Examples:
      msgmetrics migrate --partitions 16
      msgmetrics migrate --create
    """
    settings = context.settings
    with command_errors(settings):
        client = open_clickhouse(settings, make_database=True)
        days = settings.facts_retention_days, settings.dead_letter_retention_days
        applied = apply.migrate(client, *days, settings.clickhouse_cluster, say, settings.topics)
    say(*([f"applied {name}" for name in applied] or ["ClickHouse is up to date"]))
    say(*ensure_topics(settings, partitions, create=create))
