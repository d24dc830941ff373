"""Loader of SQL statements, which stand in files so that they can be pasted into a client."""

from functools import cache
from importlib.resources import files


@cache
def sql(name: str) -> str:
    """The statement of a room: ``sql("cli/keys")`` is ``deploy/cli/sql/keys.sql``."""
    room, statement = name.split("/")
    return (files("deploy") / room / "sql" / f"{statement}.sql").read_text()
