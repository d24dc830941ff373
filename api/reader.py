"""ClickHouse as the API reads it; no other file of the API talks to it. Read-only; every statement has a time limit.

Blocking, safe for threads, and lazy: the API starts without ClickHouse and recovers by itself. Every fault is raised as
Unavailable; its cause goes to the log.

Every statement answers exactly one row, also where nothing is found, and begins it with the nonce that was sent along:
an answer of another statement, or a part of one, is recognised whatever it looks like.
"""

import logging
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from api.answer import Groups, Rows, Value
from api.changes import Listing
from api.errors import Unavailable
from api.known_keys import KeyHashes
from api.params import Metric
from api.window import Window
from schemas import statements
from schemas.connection import Connections, first_line
from schemas.endpoint import Endpoint
from schemas.tables import CURSOR_SECRET, rollup_table

log = logging.getLogger(__name__)

QUERY_SECONDS = 2
READ_ONLY = 2  # reads only, and settings may still be sent along
NONCE_BITS = 64
FORMATS = {"key_hashes": {"String": "bytes"}}
"""Statements whose text is none."""


@dataclass(frozen=True, slots=True)
class Account:
    """An API key as stored, and its organization's tier.

    ``valid_ms`` are the milliseconds until it expires, by ClickHouse's clock when it was read; None for ever.
    ``tier`` is '' where none is stored.
    """

    key_id: str
    org_id: str
    scopes: frozenset[str]
    is_revoked: bool
    valid_ms: int | None
    tier: str


def sql(name: str) -> str:
    """The statement in ``api/sql/NAME.sql``."""
    return statements.load("api", name)


class Reader:
    """The API's queries. Every method raises Unavailable when ClickHouse does not answer."""

    def __init__(self, clickhouse: str | Endpoint) -> None:
        endpoint = Endpoint.of(clickhouse)
        settings = {} if endpoint.is_embedded else {"readonly": READ_ONLY}
        self._connections = Connections(
            endpoint, timeout_seconds=QUERY_SECONDS + 0.5, connect_seconds=1, settings=settings
        )
        self._secret: bytes | None = None

    def _row(self, name: str, /, **parameters: Any) -> Sequence[Any]:
        """The row that a statement answers, without its nonce. A wrong one costs the connection that brought it."""
        nonce = secrets.randbits(NONCE_BITS)
        try:
            with self._connections.client() as client:
                asked = {**parameters, "nonce": nonce}
                rows = client.query(sql(name), parameters=asked, query_formats=FORMATS.get(name)).result_rows
                if [row[0] for row in rows] != [nonce]:
                    raise _ForeignAnswer(f"{len(rows)} rows that belong to another statement")
                return rows[0][1:]
        except Exception as error:  # over bytes that are no answer the driver raises anything at all
            log.warning("ClickHouse did not answer %s: %s", name, first_line(error))
            raise Unavailable from error

    def account(self, key_hash: str) -> Account | None:
        """The key with this hash, or None."""
        (found,) = self._row("account", key_hash=key_hash)
        for key_id, org_id, scopes, revoked_ms, valid_ms, tier in found:
            return Account(key_id, org_id, frozenset(scopes), revoked_ms > 0, valid_ms, tier)
        return None

    def key_hashes(self, since_ms: int) -> KeyHashes:
        """The hashes of all keys, revoked ones included, that were written since an instant of ClickHouse's clock."""
        return KeyHashes(*self._row("key_hashes", since_ms=since_ms))

    def as_of_ms(self) -> int:
        """`as_of` in epoch milliseconds; 0 before the first watermark."""
        (as_of_ms,) = self._row("as_of")
        return int(as_of_ms)

    def moment(self, org_id: str) -> tuple[int, int, int]:
        """`as_of`, ClickHouse's now and the newest resync of an organization, in epoch milliseconds; 0 for none."""
        as_of_ms, now_ms, resynced_ms = self._row("moment", org_id=org_id)
        return int(as_of_ms), int(now_ms), int(resynced_ms)

    def cursor_secret(self) -> bytes:
        """The secret that signs cursors, made by `migrate` and never changed. Raises Unavailable without one."""
        if self._secret is None:
            (found,) = self._row("secret", name=CURSOR_SECRET)
            if not found:
                log.error("there is no secret for cursors; run `msgmetrics migrate`")
                raise Unavailable
            self._secret = str(found[0]).encode()
        return self._secret

    def values(self, org_id: str, metric: Metric, window: Window, group_by: str | None) -> Rows:
        """Stored values of an organization in a window: per bucket start a number, or with ``group_by`` its groups."""
        where = _where(org_id, window)
        if group_by is None:
            (totals,) = self._row("totals", metric=metric.value, **where)
            return dict(totals)
        (groups,) = self._row("groups", **_columns(metric, group_by), **where)
        return _by_bucket(groups)

    def cells(self, org_id: str, metric: Metric, window: Window, group_by: str) -> Mapping[int, int]:
        """Per bucket start how many groups ``values`` has there, also those that add up to 0, which an answer leaves
        out; a bucket without a row is missing."""
        (counts,) = self._row("cells", **_columns(metric, group_by), **_where(org_id, window))
        return dict(counts)

    def changed(
        self, org_id: str, metric: Metric, window: Window, group_by: str | None, rule: Listing, limit: int
    ) -> tuple[Rows, Mapping[int, int]]:
        """The first ``limit`` of the rows that ``rule`` lists: as ``values`` has them, and when they were computed."""
        where = _where(org_id, window) | _listed(rule, limit)
        if group_by is None:
            (totals,) = self._row("changed_totals", metric=metric.value, **where)
            return {start: value for start, _, value in totals}, {start: updated for start, updated, _ in totals}
        (groups,) = self._row("changed_groups", **_columns(metric, group_by), **where)
        rows = _by_bucket([(start, key, value) for start, _, key, value in groups])
        return rows, {start: updated for start, updated, *_ in groups}

    def changed_cells(
        self, org_id: str, metric: Metric, window: Window, group_by: str, rule: Listing, limit: int
    ) -> Mapping[int, int]:
        """``cells`` of the first ``limit`` of the rows that ``rule`` lists."""
        where = _where(org_id, window) | _listed(rule, limit)
        (counts,) = self._row("changed_cells", **_columns(metric, group_by), **where)
        return dict(counts)


class _ForeignAnswer(Exception):
    """An answer without the nonce of its question."""


def _where(org_id: str, window: Window) -> dict[str, Any]:
    """The parameters that choose an organization's buckets."""
    return {"org_id": org_id, "table": rollup_table(window.grain), "start": window.start, "end": window.end}


def _columns(metric: Metric, group_by: str) -> dict[str, str]:
    """The parameters that choose the columns of groups."""
    return {"keys": f"groups.{group_by}", "values": f"groups.{metric.value}"}


def _listed(rule: Listing, limit: int) -> dict[str, int]:
    """The parameters that choose the rows that are listed."""
    return {"since": rule.since, "whole_from": rule.whole_from, "limit": limit}


def _by_bucket(rows: Sequence[Sequence[Any]]) -> dict[int, Groups]:
    grouped: dict[int, list[tuple[str, Value]]] = defaultdict(list)
    for bucket, key, value in rows:
        grouped[bucket].append((key, value))
    return dict(grouped)
