"""Statements of the commands and of migrate, which stand in files so that they can be pasted into a client."""

from schemas import statements


def sql(name: str) -> str:
    """The statement of a room: ``sql("cli/keys")`` is ``deploy/cli/sql/keys.sql``."""
    room, statement = name.split("/")
    return statements.load(f"deploy.{room}", statement)
