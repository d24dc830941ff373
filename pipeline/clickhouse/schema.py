"""Decides whether a database is one that this version may work on. Pure."""

from pipeline.errors import NewerSchema, NotMigrated
from schemas.tables import SCHEMA


def check_schema(begun: int, done: int) -> None:
    """Raise NewerSchema or NotMigrated, by the newest migrations that need a stop: the one begun, and the one done.

    Both are read with every state, after facts are in and before they are claimed, and before `as_of` is published. So
    a worker of an older version that was cut off when the others were stopped, and comes back, claims nothing that it
    counted by other rules or put where nobody reads it.
    """
    if begun > SCHEMA:
        raise NewerSchema(
            f"the database was migrated for a newer version (migration {begun}; this one knows {SCHEMA}); nothing is "
            "lost, start that version"
        )
    if done < SCHEMA:
        raise NotMigrated(
            f"the database is not set up for this version (migration {SCHEMA} has not ended); run `msgmetrics migrate`"
        )
