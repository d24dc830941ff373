"""The retention of tables: the TTL in their definitions, as the settings have it."""

import re

from clickhouse_connect.driver.client import Client

from deploy.sql import sql
from schemas import tables
from schemas.grain import Grain
from schemas.sharding import alter_target, local_name

_TTL = re.compile(r"(TTL\s+(?:\S+|toDateTime\([^)]*\))\s*\+\s*toIntervalDay\()(\d+)\)")


def ttl_days(definition: str) -> int | None:
    """The days after which a table's rows expire, by its definition; None where they do not."""
    found = _TTL.search(definition)
    return int(found[2]) if found else None


def with_ttl_days(definition: str, days: int | None) -> str:
    """The definition with other days in its TTL, or without a TTL."""
    return _TTL.sub("" if days is None else rf"\g<1>{days})", definition)


def definition_of(client: Client, table: str) -> str:
    """The statement that would make a table as it is now."""
    return str(client.query(sql("migrations/table_definition"), parameters={"table": table}).result_rows[0][0])


def set_retention(client: Client, table: str, column: str, days: int, cluster: str) -> None:
    """Set a table's TTL. First raise the floor of facts by the old TTL, which may have dropped some."""
    old = ttl_days(definition_of(client, local_name(table, cluster)))
    if old == days:
        return
    if old is not None and table == tables.FACTS:
        client.command(sql("migrations/raise_facts_floor"), parameters={"margin": Grain.HOUR.seconds, "days": old})
    # In Python, since a TTL and ON CLUSTER take no parameters; a name comes from the code, the days are an int.
    client.command(f"ALTER TABLE {alter_target(table, cluster)} MODIFY TTL {column} + toIntervalDay({int(days)})")
