"""Deletes rows of a table on every server that has a part of it: begun once, however often it is asked for.

ClickHouse puts an ALTER TABLE ... DELETE into a queue (system.mutations), and goes through with it even if the
statement timed out, was cut off or was answered by an error. Begun anew with every attempt there would soon be
thousands. So each carries a mark in its text, by which it is found again::

    attempt 1   looks ── begins ── waits ── time is over: SinkUnavailable
    attempt 2   looks ── finds it ──────── waits ── done on every server
"""

import hashlib
import uuid
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Any

from pipeline.clickhouse.client import ClickHouse, sql
from pipeline.errors import SinkUnavailable
from schemas.sharding import alter_target, local_name

DOING = "deleting what is erased"
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion that has begun, and how many servers have done it of those that must."""

    done: int
    servers: int
    failure: str = ""

    @property
    def is_done(self) -> bool:
        return self.done >= self.servers


NOT_LISTED = Deletion(0, 1)


@dataclass(frozen=True, slots=True)
class Deletions:
    """Deletions from the tables of a database. Every method blocks; raises SinkUnavailable or Stop."""

    clickhouse: ClickHouse

    def delete(self, name: str, table: str, **parameters: Any) -> None:
        """Run a statement that deletes rows of a table, to its end on every server.

        Raises SinkUnavailable where that takes longer than a statement may, as while a server is away: the same may be
        asked again.
        """
        cluster, until = self.clickhouse.endpoint.cluster, monotonic() + self.clickhouse.timeout_seconds
        mark = f"{_digest(name, parameters)}:"
        unfinished = [known for known, deletion in self._listed(table, mark).items() if not deletion.is_done]
        this = unfinished[0] if unfinished else str(uuid.uuid4())
        if not unfinished:
            statement = sql(name).replace("TARGET", alter_target(table, cluster))
            self.clickhouse.write(DOING, statement, mark=mark + this, **parameters)
        while not (found := self._listed(table, mark).get(this, NOT_LISTED)).is_done:
            if monotonic() > until:
                raise SinkUnavailable(_sentence(table, found))
            sleep(POLL_SECONDS)

    def _listed(self, table: str, mark: str) -> dict[str, Deletion]:
        """Deletions by what follows the mark."""
        cluster = self.clickhouse.endpoint.cluster
        statement = sql("erasure/deletions_of_cluster" if cluster else "erasure/deletions")
        rows = self.clickhouse.rows(DOING, statement, table=local_name(table, cluster), mark=mark)
        return {str(known): Deletion(int(done), int(servers), why) for known, done, servers, why in rows}


def _digest(name: str, parameters: dict[str, Any]) -> str:
    """Stands for a statement with its parameters, the same in every process."""
    return hashlib.sha256(repr((name, sorted(parameters.items()))).encode()).hexdigest()[:32]


def _sentence(table: str, found: Deletion) -> str:
    why = f" ({found.failure.splitlines()[0][:300]})" if found.failure else ""
    return (
        f"{found.servers - found.done} of {found.servers} ClickHouse servers have not deleted from {table} yet what is "
        f"erased{why}; it is waited for, and not begun again. Look at system.mutations, and bring back a server that "
        "is away"
    )
