"""The tables on a ClickHouse cluster, derived from the same numbered migrations as on one server. Pure.

Facts, rollups and everything else of an organization live on one shard, chosen by ``cityHash64(org_id)``; dead letters
by where they came from. Each of these tables becomes two: ``NAME_local``, replicated within its shard, and ``NAME``,
Distributed over all shards, so that no statement of the program knows that there is a cluster. All other tables are
small and are replicated to every server under their own name.
"""

import re

from deploy.errors import Refused
from schemas.sharding import LOCAL, SHARDED, alter_target, local_name
from schemas.tables import MUTATIONS, SYNCHRONISED

SHARD_PATH, SHARD_REPLICA = "/clickhouse/tables/{shard}/{database}/{table}", "{replica}"
GLOBAL_PATH, GLOBAL_REPLICA = "/clickhouse/tables/all/{database}/{table}", "{shard}-{replica}"

_CREATE = re.compile(r"CREATE TABLE (IF NOT EXISTS )?(\w+)", re.ASCII)
_AS = re.compile(r"(?<=\bAS )(\w+)(?=\s+ENGINE\b)", re.ASCII)
_ENGINE = re.compile(r"\bENGINE = (\w*MergeTree)(?:\(([^()]*)\))?", re.ASCII)
_ALTER = re.compile(r"ALTER TABLE (\w+)(?=\s)", re.ASCII)
_INSERT = re.compile(r"INSERT INTO \w+\s", re.ASCII)
_STORAGE = re.compile(r",\s*MODIFY ORDER BY \([^()]*\)")
"""A change of the sort key, behind the columns that it is about; a Distributed table has none."""
_COLUMNS = re.compile(r"\b(ADD|DROP|MODIFY|RENAME|COMMENT|ALTER) COLUMN\b")


def statements_for(statement: str, cluster: str) -> list[str]:
    """Translate a migration's statement for a cluster; without one it stays as it is. Raises Refused without a rule."""
    if not cluster or _INSERT.match(statement):  # rows go where their table sends them
        return [statement]
    if match := _CREATE.match(statement):
        return _create(statement, match, cluster)
    if match := _ALTER.match(statement):
        return _alter(match[1], statement[match.end() :], cluster)
    raise Refused(f"there is no rule yet for a cluster for: {statement.splitlines()[0]}")


def _create(statement: str, match: re.Match[str], cluster: str) -> list[str]:
    softly, name = match[1] or "", match[2]
    key = SHARDED.get(name)
    made = stored_table(f"{softly}{local_name(name, cluster)}", statement[match.end() :], key, cluster)
    return [made, spanning_table(f"CREATE TABLE {softly}", name, key, cluster)] if key else [made]


def stored_table(name: str, body: str, key: str | None, cluster: str) -> str:
    """The statement that makes a table which holds rows; ``body`` is what stands behind its name on one server.

    ``key`` is what the rows are sharded by, None where every server has all of them.
    """
    path, replica = (SHARD_PATH, SHARD_REPLICA) if key else (GLOBAL_PATH, GLOBAL_REPLICA)
    replicated, engines = _ENGINE.subn(lambda engine: _replicated(engine, path, replica), body)
    if engines != 1:
        raise Refused(f"there is no rule yet for a cluster for the engine of {name}")
    like = _AS.sub(lambda other: local_name(other[1], cluster), replicated)
    return f"CREATE TABLE {name} ON CLUSTER {cluster}{like}"


def spanning_table(words: str, name: str, key: str, cluster: str) -> str:
    """The statement that makes the table over those of all shards; ``words`` are its first ones."""
    return (
        f"{words}{name} ON CLUSTER {cluster} AS {name}{LOCAL}\n"
        f"ENGINE = Distributed({cluster}, currentDatabase(), {name}{LOCAL}, {key})"
    )


_NUMBER = "generateSerialID(concat('msgmetrics', hex(cityHash64(server))))"
"""A series of each server's own, so that two never take a number of the same one at once; its name may not be long."""
_SERVER = "concat(hostName(), ':', toString(tcpPort())) AS server"


def views(cluster: str) -> list[str]:
    """The statements that make the views over all servers.

    ``mutations`` has those of each server, and how many servers there are. ``synchronised`` makes each take a number
    from the coordination service, which is a write: what follows on the same session, as reads of replicated tables do,
    comes after all that was acknowledged before, though its member of the service lagged.
    """
    return [
        _view(
            MUTATIONS,
            cluster,
            f"SELECT {_SERVER}, database, table, command, is_done, latest_fail_reason FROM system.mutations",
            f", (SELECT count() FROM system.clusters WHERE cluster = '{cluster}') AS servers",
        ),
        _view(SYNCHRONISED, cluster, f"SELECT {_SERVER}, {_NUMBER} AS number"),
    ]


def _view(name: str, cluster: str, on_each: str, more: str = "") -> str:
    """A view of what each server answers. Reading it takes no right to reach other servers (REMOTE), with which
    anybody's could be reached: that is the definer's."""
    return (
        f"CREATE OR REPLACE VIEW {name} ON CLUSTER {cluster} DEFINER = CURRENT_USER SQL SECURITY DEFINER AS\n"
        f"SELECT *{more}\nFROM clusterAllReplicas('{cluster}', view({on_each}))"
    )


def _replicated(engine: re.Match[str], path: str, replica: str) -> str:
    arguments = f", {engine[2]}" if engine[2] else ""
    return f"ENGINE = Replicated{engine[1]}('{path}', '{replica}'{arguments})"


def _alter(name: str, rest: str, cluster: str) -> list[str]:
    changed = [f"ALTER TABLE {alter_target(name, cluster)}{rest}"]
    if name in SHARDED and _COLUMNS.search(rest):
        changed.append(f"ALTER TABLE {name} ON CLUSTER {cluster}{_STORAGE.sub('', rest)}")
    return changed
