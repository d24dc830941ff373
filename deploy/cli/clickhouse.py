"""ClickHouse for the commands: a client, or the pipeline's store, with errors that are sentences."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.cli.context import Context
from deploy.cli.known import check_known
from deploy.cli.problems import UNKNOWN_DATABASE, clickhouse_problem, command_errors
from deploy.errors import Refused
from deploy.sql import sql
from schemas.connection import connect, connect_writer
from schemas.grain import MS_PER_SECOND
from schemas.instant import utc
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.settings import Settings
from schemas.sharding import everywhere

if TYPE_CHECKING:
    from pipeline.clickhouse.store import Store
    from pipeline.core.effects import State

T = TypeVar("T")

TRUSTED_SKEW_MS = 60_000
LOOK_SECONDS = 10
"""The time limit of a statement of commands that are asked because something may be wrong."""


def open_clickhouse(
    settings: Settings, *, make_database: bool = False, timeout_seconds: float = LONGEST_STATEMENT_SECONDS
) -> Client:
    """A client for commands. Raises Unreachable or Refused."""
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)  # what it warns of, a command says itself
    target, url = settings.clickhouse, settings.clickhouse_url
    try:
        return connect_writer(target, timeout_seconds=timeout_seconds)
    except (ClickHouseError, OSError) as error:
        if getattr(error, "code", None) == UNKNOWN_DATABASE and make_database and not target.is_embedded:
            name = urlsplit(url).path.strip("/")
            # ON CLUSTER takes no parameter, so that piece is put in here.
            connect(replace(target, url=url.removesuffix(urlsplit(url).path) + "/system")).command(
                f"CREATE DATABASE IF NOT EXISTS {{name:Identifier}}{everywhere(target.cluster)}",
                parameters={"name": name},
            )
            return connect_writer(target)
        raise clickhouse_problem(settings, error) from None


def clickhouse_now(client: Client) -> datetime:
    """ClickHouse's clock: what a command writes or tells of a time rests on it, whatever this machine's clock says."""
    return utc(int(client.query(sql("cli/server_clock")).result_rows[0][0]))


def check_clocks(state: State) -> None:
    """Raise Refused where ClickHouse's clock, by which rows are deleted and written for good, may be the wrong one."""
    skew_ms = state.clock.skew_ms()
    if abs(skew_ms) > TRUSTED_SKEW_MS:
        raise Refused(
            f"this machine's clock is {abs(skew_ms) / MS_PER_SECOND:.0f} s {'behind' if skew_ms < 0 else 'ahead of'} "
            f"ClickHouse's, and nothing tells which is wrong, so nothing was done; synchronise both (NTP)"
        )


def known_cluster_id(settings: Settings, client: Client) -> str:
    """The Kafka cluster that stored progress belongs to, for commands that only look at ClickHouse.

    The setting, or the cluster of the topics of which a worker last reported; '' before the first report.
    """
    if settings.kafka_cluster_id:
        return settings.kafka_cluster_id
    return str(client.query(sql("cli/newest_cluster"), parameters={"topics": list(settings.topics)}).result_rows[0][0])


def connected(
    context: Context,
    work: Callable[[Client, Settings], T],
    *,
    org: str = "",
    timeout_seconds: float = LONGEST_STATEMENT_SECONDS,
) -> T:
    """Run ``work`` with a client of ClickHouse. Raises CommandError; Refused where nobody knows ``org``, '' for all."""
    settings = context.settings
    with command_errors(settings):
        return work(_client(settings, org, timeout_seconds), settings)


def _client(settings: Settings, org: str, timeout_seconds: float = LONGEST_STATEMENT_SECONDS) -> Client:
    client = open_clickhouse(settings, timeout_seconds=timeout_seconds)
    if org:
        check_known(client, org)
    return client


def open_store(settings: Settings, cluster_id: str) -> Store:
    """The pipeline's store for a command. Raises Stop where the database is of another version, or half migrated.

    Then letters and facts may be in a table where nobody looks for them, and an answer would lack them in silence.
    """
    from pipeline.clickhouse.store import Store  # brings pyarrow, which takes as long as all else together
    from pipeline.core.effects import ReadState

    name = f"command-{os.getpid()}"
    where, retention = (settings.clickhouse, cluster_id, name), settings.facts_retention_days
    store = Store(*where, timeout_seconds=LONGEST_STATEMENT_SECONDS, retention_days=retention)
    store.perform(ReadState())
    return store


def with_store(context: Context, work: Callable[[Store, Settings], T], *, org: str = "") -> T:
    """Run ``work`` with the pipeline's store. Raises CommandError; Refused where nobody knows ``org``, '' for all."""
    settings = context.settings
    with command_errors(settings):
        return work(open_store(settings, known_cluster_id(settings, _client(settings, org))), settings)
