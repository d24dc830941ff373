"""Names of the ClickHouse tables, and the settings every writer sends along."""

from typing import Final

from schemas.grain import Grain

FACTS: Final = "facts"
DEAD_LETTERS: Final = "dead_letters"
WATERMARK: Final = "watermark"
PARTITION_WATERMARKS: Final = "partition_watermarks"
PARTITION_STATUS: Final = "partition_status"
WORKER_STATUS: Final = "worker_status"
CLOSINGS: Final = "closings"
RECOMPUTE_KEYS: Final = "recompute_keys"
ACCEPTED_GAPS: Final = "accepted_gaps"
ORGS: Final = "orgs"
API_KEYS: Final = "api_keys"
SECRETS: Final = "secrets"
MIGRATIONS: Final = "schema_migrations"

CURSOR_SECRET: Final = "cursor"
"""Name of the row in ``secrets`` that signs cursors."""


def rollup_table(grain: Grain) -> str:
    """The table that holds one row per (organization, bucket) of a grain."""
    return f"rollup_{grain.value}"


# The engine's defaults would queue small inserts, swallow an identical block after an erase, and refuse a backfill
# over more than 100 days; a writer that relies on "the insert was acknowledged" can have none of the three.
WRITE_SETTINGS: Final[dict[str, int]] = {
    "async_insert": 0,
    "insert_deduplicate": 0,
    "max_partitions_per_insert_block": 0,
}
