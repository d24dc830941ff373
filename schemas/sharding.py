"""Which tables are spread over the shards of a ClickHouse cluster, and what they are called there."""

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
    """What goes behind the table in a statement that must reach every server: nothing where there is one."""
    return f" ON CLUSTER {cluster}" if cluster else ""


def alter_target(table: str, cluster: str) -> str:
    """What goes behind ALTER TABLE to change or delete rows, which a Distributed table cannot."""
    return local_name(table, cluster) + everywhere(cluster)
