"""Names of the tables that are spread over the shards of a ClickHouse cluster."""

from schemas import tables
from schemas.grain import Grain

LOCAL = "_local"
BY_ORGANIZATION = "cityHash64(org_id)"
SHARDED = {
    tables.FACTS: BY_ORGANIZATION,
    **{tables.rollup_table(grain): BY_ORGANIZATION for grain in Grain},
    tables.RECOMPUTE_KEYS: BY_ORGANIZATION,
    tables.REPLAY_KEYS: BY_ORGANIZATION,
    tables.DEAD_LETTERS: "cityHash64(cluster_id, topic, partition, offset)",
}
"""Tables that are spread over the shards, and by what. Each is Distributed over one of its name and LOCAL."""


def local_name(table: str, cluster: str) -> str:
    """The table that holds the rows: on a cluster those of a shard."""
    return table + LOCAL if cluster and table in SHARDED else table


def everywhere(cluster: str) -> str:
    """The clause that makes a statement reach every server, to be put behind the table; empty for one server."""
    return f" ON CLUSTER {cluster}" if cluster else ""


def alter_target(table: str, cluster: str) -> str:
    """The target of an ALTER TABLE that changes or deletes rows, which a Distributed table cannot."""
    return local_name(table, cluster) + everywhere(cluster)
