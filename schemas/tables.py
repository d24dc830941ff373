"""Names of the ClickHouse tables, and the settings every writer sends along."""

from typing import Final

from schemas.grain import Grain

FACTS: Final = "facts"
DEAD_LETTERS: Final = "dead_letters"
WATERMARK: Final = "watermark"
PARTITION_WATERMARKS: Final = "partition_watermarks"
RETIRED_TOPICS: Final = "retired_topics"
PARTITION_STATUS: Final = "partition_status"
WORKER_STATUS: Final = "worker_status"
CLOSINGS: Final = "closings"
RECOMPUTE_KEYS: Final = "recompute_keys"
ACCEPTED_GAPS: Final = "accepted_gaps"
ERASURES: Final = "erasures"
RESYNCS: Final = "resyncs"
STATEMENTS: Final = "statements"
STATEMENT_RESTORES: Final = "statement_restores"
LEASES: Final = "leases"
REDRIVES: Final = "redrives"
REPLAYS: Final = "replays"
REPLAY_KEYS: Final = "replay_keys"
ORGS: Final = "orgs"
API_KEYS: Final = "api_keys"
SECRETS: Final = "secrets"
MIGRATIONS: Final = "schema_migrations"
MUTATIONS: Final = "mutations"
"""On a cluster alone: the view of the mutations of all its servers."""
SYNCHRONISED: Final = "synchronised"
"""On a cluster alone: the view that makes each of its servers write to the coordination service before it answers."""

SCHEMA: Final = 11
"""The newest migration that this version needs: it must not begin before that has ended. Nor must it go on once one
that it does not know, and that needs a stop, has begun."""

CURSOR_SECRET: Final = "cursor"
"""Name of the row in ``secrets`` that signs cursors."""


def rollup_table(grain: Grain) -> str:
    """The table that holds one row per (organization, bucket) of a grain."""
    return f"rollup_{grain.value}"


# The engine's defaults would queue small inserts, swallow an identical block after an erase, and refuse a backfill
# over more than 100 days; a writer that relies on "the insert was acknowledged" can have none of the three. Rows of one
# insert hardly ever replace each other, and looking for that took as long as writing them.
WRITE_SETTINGS: Final[dict[str, int]] = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 0,
}


# A read sees what was acknowledged before it, or is refused. On one server it always does, and this changes nothing; on
# shared storage (SharedMergeTree, as managed services have) it is what makes it so; replicas need CLUSTER_SETTINGS too.
READ_SETTINGS: Final[dict[str, int]] = {"select_sequential_consistency": 1}


# What makes "acknowledged" and "read afterwards" mean the same on a cluster as on one server: an insert is answered
# when a majority of the shard's replicas has it and the one before it (so that none can be missing in between), through
# a Distributed table not before the shard has answered, and a read refuses a replica that lags behind. Sub-selects run
# on each shard, and one organization is asked for on its shard alone, since all that it has is there.
CLUSTER_SETTINGS: Final[dict[str, int | str]] = {
    "insert_quorum": "auto",
    "insert_quorum_parallel": 0,
    **READ_SETTINGS,
    "distributed_foreground_insert": 1,
    "distributed_product_mode": "local",
    "parallel_distributed_insert_select": 2,
    "skip_unavailable_shards": 0,
    "optimize_skip_unused_shards": 1,
}
