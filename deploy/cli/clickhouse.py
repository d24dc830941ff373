"""ClickHouse as the commands see it: a connection, or a sentence that says why there is none."""

from dataclasses import replace
from urllib.parse import urlsplit

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.errors import CommandError, Refused, Unreachable
from schemas.connection import connect, redact
from schemas.limits import LONGEST_STATEMENT_SECONDS
from schemas.settings import Settings
from schemas.sharding import everywhere
from schemas.tables import WRITE_SETTINGS

UNKNOWN_DATABASE = 81
UNKNOWN_TABLE = 60
AUTHENTICATION_FAILED = 516


def open_clickhouse(settings: Settings, *, make_database: bool = False) -> Client:
    """A client for commands. Raises Unreachable or Refused."""
    target, url = settings.clickhouse, settings.clickhouse_url
    try:
        return connect(target, timeout_seconds=LONGEST_STATEMENT_SECONDS, settings=dict(WRITE_SETTINGS))
    except (ClickHouseError, OSError) as error:
        if getattr(error, "code", None) == UNKNOWN_DATABASE and make_database and not target.is_embedded:
            name = urlsplit(url).path.strip("/")
            connect(replace(target, url=url.removesuffix(urlsplit(url).path) + "/system")).command(
                f"CREATE DATABASE IF NOT EXISTS {{name:Identifier}}{everywhere(target.cluster)}",
                parameters={"name": name},
            )
            return connect(target, timeout_seconds=LONGEST_STATEMENT_SECONDS, settings=dict(WRITE_SETTINGS))
        raise clickhouse_problem(settings, error) from None


def clickhouse_problem(settings: Settings, error: Exception) -> CommandError:
    """The sentence for an error of ClickHouse: unreachable, not migrated, or refused."""
    code, first_line = getattr(error, "code", None), str(error).split("\n", 1)[0][:300]
    where = redact(settings.clickhouse_url)
    if code == UNKNOWN_TABLE:
        return Refused(f"the database at {where} is not set up; run `msgmetrics migrate`")
    if code == UNKNOWN_DATABASE:
        return Refused(f"the database of {where} does not exist; run `msgmetrics migrate`")
    if code == AUTHENTICATION_FAILED:
        return Refused(f"ClickHouse at {where} refuses user and password of MSGMETRICS_CLICKHOUSE_URL")
    if code is None:
        return Unreachable(f"ClickHouse does not answer at {where}; start it, or set MSGMETRICS_CLICKHOUSE_URL")
    return CommandError(f"ClickHouse at {where} answered: {first_line}")
