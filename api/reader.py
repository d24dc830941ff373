"""ClickHouse as the API reads it; no other file of the API talks to it. Read-only; every statement has a time limit.

Blocking, safe for threads (each has a connection of its own), and lazy: the API starts without ClickHouse and recovers
by itself. Every fault is raised as Unavailable; its cause goes to the log.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from api.answer import Groups, Rows, Value
from api.errors import Unavailable
from api.params import Metric
from api.window import Window
from schemas import statements
from schemas.connection import connect
from schemas.endpoint import Endpoint
from schemas.tables import CURSOR_SECRET, rollup_table

log = logging.getLogger(__name__)

QUERY_SECONDS = 2
AS_OF = "as_of"
READ_ONLY = 2  # reads only, and settings may still be sent along


@dataclass(frozen=True, slots=True)
class Account:
    """An API key as stored, and its organization's tier.

    Instants are epoch milliseconds, 0 for unset; tier is '' where none is stored.
    """

    key_id: str
    org_id: str
    scopes: frozenset[str]
    revoked_ms: int
    expires_ms: int
    tier: str


def sql(name: str) -> str:
    """The statement in ``api/sql/NAME.sql``, or one that others share."""
    return statements.load("schemas" if name == AS_OF else "api", name)


class Reader:
    """The API's queries. Every method raises Unavailable when ClickHouse does not answer."""

    def __init__(self, clickhouse: str | Endpoint) -> None:
        self._clickhouse = Endpoint.of(clickhouse)
        self._local = threading.local()
        self._secret: bytes | None = None

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            settings = {} if self._clickhouse.is_embedded else {"readonly": READ_ONLY}
            client = self._local.client = connect(
                self._clickhouse, timeout_seconds=QUERY_SECONDS + 0.5, connect_seconds=1, settings=settings
            )
        return client

    def _rows(self, name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]:
        try:
            return self._client().query(sql(name), parameters=parameters).result_rows
        except (ClickHouseError, OSError) as error:
            log.warning("ClickHouse did not answer %s: %s", name, str(error).split("\n", 1)[0][:300])
            raise Unavailable from error

    def account(self, key_hash: str) -> Account | None:
        """The key with this hash, or None."""
        for key_id, org_id, scopes, revoked, expires, tier in self._rows("account", key_hash=key_hash):
            return Account(key_id, org_id, frozenset(scopes), int(revoked), int(expires), tier)
        return None

    def as_of_ms(self) -> int:
        """`as_of` in epoch milliseconds; 0 before the first watermark."""
        return int(self._rows(AS_OF)[0][0])

    def cursor_secret(self) -> bytes:
        """The secret that signs cursors, made by `migrate` and never changed. Raises Unavailable without one."""
        if self._secret is None:
            rows = self._rows("secret", name=CURSOR_SECRET)
            if not rows:
                log.error("there is no secret for cursors; run `msgmetrics migrate`")
                raise Unavailable
            self._secret = str(rows[0][0]).encode()
        return self._secret

    def values(self, org_id: str, metric: Metric, window: Window, group_by: str | None) -> Rows:
        """Stored values of an organization in a window: per bucket start a number, or with ``group_by`` its groups."""
        where = _where(org_id, window)
        if group_by is None:
            return {bucket: value for bucket, value in self._rows("totals", metric=metric.value, **where)}  # noqa: C416
        rows = self._rows("groups", keys=f"groups.{group_by}", values=f"groups.{metric.value}", **where)
        return _by_bucket(rows)

    def cells(self, org_id: str, metric: Metric, window: Window, group_by: str) -> Mapping[int, int]:
        """Per bucket start how many groups ``values`` has there; a bucket without a row is missing."""
        keys, values = f"groups.{group_by}", f"groups.{metric.value}"
        rows = self._rows("cells", keys=keys, values=values, **_where(org_id, window))
        return {bucket: int(count) for bucket, count in rows}


def _where(org_id: str, window: Window) -> dict[str, Any]:
    """The parameters that choose an organization's buckets."""
    return {"org_id": org_id, "table": rollup_table(window.grain), "start": window.start, "end": window.end}


def _by_bucket(rows: Sequence[Sequence[Any]]) -> dict[int, Groups]:
    grouped: dict[int, list[tuple[str, Value]]] = defaultdict(list)
    for bucket, key, value in rows:
        grouped[bucket].append((key, value))
    return dict(grouped)
