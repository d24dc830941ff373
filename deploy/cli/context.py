"""What the commands share: settings, clocks, connections, how instants are written, and progress."""

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.errors import CommandError, Refused, Unreachable, Usage
from schemas.instant import Span
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.settings import Settings, SettingsError, read_settings


class Context:
    """What every command is given: settings are read when one needs them, so that --help always works."""

    def __init__(self, dev: Path | None) -> None:
        self._dev = dev

    @property
    def settings(self) -> Settings:
        try:
            settings = read_settings(os.environ)
        except SettingsError as error:
            raise Usage(str(error)) from None
        if self._dev is None:
            return settings
        from deploy.cli.dev import dev_settings, read_dev_file

        return dev_settings(settings, read_dev_file(self._dev))


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def clock_ms() -> int:
    """The wall clock in epoch milliseconds."""
    return time.time_ns() // 1_000_000


def connected(context: Context, work: Callable[[Any, Settings], Any]) -> Any:
    """Run something with a ClickHouse client; its errors become sentences."""
    from deploy.cli.clickhouse import clickhouse_problem, open_clickhouse

    settings = context.settings
    client = open_clickhouse(settings)
    try:
        return work(client, settings)
    except ClickHouseError as error:
        raise clickhouse_problem(settings, error) from None


def with_store(context: Context, work: Callable[[Any, Settings], Any]) -> Any:
    """Run something with the pipeline's own view of ClickHouse; its errors become sentences."""
    from deploy.cli.clickhouse import open_clickhouse
    from deploy.cli.clusters import known_cluster_id
    from pipeline.clickhouse.store import Store
    from pipeline.core.generation import NoGenerationLeft
    from pipeline.errors import SinkUnavailable, Stop

    settings = context.settings
    cluster_id = known_cluster_id(settings, open_clickhouse(settings))
    store = Store(
        settings.clickhouse, cluster_id, settings.kafka_topic, f"command-{os.getpid()}", LONGEST_STATEMENT_SECONDS
    )
    try:
        return work(store, settings)
    except SinkUnavailable as error:
        raise Unreachable(str(error)) from None
    except (Stop, NoGenerationLeft) as error:
        raise Refused(str(error)) from None


class InstantType(click.ParamType):
    """RFC 3339 with offset, as epoch seconds."""

    name = "T"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from api.params import parse_instant

        if isinstance(value, int):
            return value
        try:
            return parse_instant(value).seconds
        except ValueError as error:
            self.fail(f"{error}, not {value!r}", param, ctx)


INSTANT = InstantType()
FROM = click.option("--from", "start", required=True, type=INSTANT, help="start of the span, RFC 3339 with offset")
TO = click.option("--to", "end", required=True, type=INSTANT, help="end of the span; in the future it means now")


def check_span(start: int, end: int) -> Span:
    """A span that is one. Raises Usage."""
    if start >= end:
        raise Usage("--from must be before --to")
    return Span(start, end)


def retention_floor_ms(settings: Settings) -> int:
    """The earliest instant whose facts are complete under the retention that is set (epoch milliseconds)."""
    from pipeline.core.watermark import RETENTION_MARGIN_MS, retention_floor
    from schemas.grain import Grain

    return retention_floor(clock_ms(), settings.facts_retention_days, Grain.DAY.milliseconds, RETENTION_MARGIN_MS)


def is_terminal() -> bool:
    """Whether somebody watches stderr, where progress is shown."""
    return sys.stderr.isatty()


def fail(error: CommandError) -> None:
    """Say what could not be done, and end with its exit code."""
    click.echo(f"msgmetrics: {error}", err=True)
    sys.exit(error.exit_code)
