"""ClickHouse's users: one table of rights and limits, from which the files for servers are made.

``python -m deploy.clickhouse_server.make_users`` writes ``users.xml`` beside it (for servers that read their users from
files) and ``users.sql`` (for those where users are made by statements). A test compares both with this table, and
another runs every task as its user on the engine.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Comment, Element, SubElement, indent, tostring

from schemas import tables
from schemas.grain import Grain
from schemas.sharding import LOCAL, SHARDED

DATABASE = "msgmetrics"

ROLLUPS = tuple(tables.rollup_table(grain) for grain in Grain)
WRITTEN_BY_WORKERS = (
    tables.FACTS,
    *ROLLUPS,
    tables.DEAD_LETTERS,
    tables.RECOMPUTE_KEYS,
    tables.WATERMARK,
    tables.PARTITION_WATERMARKS,
    tables.RETIRED_TOPICS,
    tables.PARTITION_STATUS,
    tables.WORKER_STATUS,
    tables.CLOSINGS,
    tables.ACCEPTED_GAPS,
)
KEPT_BY_OPERATORS_AND_WORKERS = (tables.ERASURES, tables.RESYNCS)
"""Workers look up which organizations were erased, resume an interrupted erasure, and tell copies of it."""
ERASED_FROM = (tables.FACTS, *ROLLUPS, tables.DEAD_LETTERS)
VIEWS = (tables.MUTATIONS, tables.SYNCHRONISED)
"""Over the servers of a cluster. Who reads them needs no right to reach these."""
READ_BY_API = (*ROLLUPS, tables.WATERMARK, tables.RESYNCS, tables.API_KEYS, tables.ORGS, tables.SECRETS)

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class User:
    """One user: its purpose, rights and limits.

    A client can lower the ``fixed`` limits but not raise them, nor set them to 0, which would be no limit at all.
    """

    name: str
    purpose: str
    grants: tuple[str, ...]
    settings: dict[str, int]
    fixed: dict[str, int]
    queries_a_minute: int = 0


def _on(rights: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{rights} ON {DATABASE}.{name}{end}" for name in names for end in _ends(name))


def _ends(name: str) -> tuple[str, ...]:
    """Suffixes of a table's names: on a cluster a sharded table is two, and a caller needs both."""
    return ("", LOCAL) if name in SHARDED else ("",)


USERS = (
    User(
        "worker",
        "inserts facts, computes rollups, finishes erasures; cannot alter or drop tables, or see keys and secrets",
        (
            *_on("SELECT, INSERT", (*WRITTEN_BY_WORKERS, *KEPT_BY_OPERATORS_AND_WORKERS)),
            *_on("ALTER DELETE", ERASED_FROM),
            *_on("SELECT", (*VIEWS, tables.STATEMENTS)),
            "SELECT ON system.mutations",
            "SELECT ON system.processes",
            "CLUSTER ON *.*",
        ),
        settings={},
        fixed={"max_memory_usage": 8 * GIB, "max_concurrent_queries_for_user": 100},
    ),
    User(
        "api",
        "answers clients; reads rollups and keys, never an event, and writes nothing",
        _on("SELECT", READ_BY_API),
        settings={"readonly": 2},
        fixed={
            "max_execution_time": 5,
            "max_memory_usage": GIB,
            "max_rows_to_read": 50_000_000,
            "max_result_rows": 6_000_000,
            "max_concurrent_queries_for_user": 64,
        },
        queries_a_minute=600_000,  # of all API processes together: a stranger who guesses keys must not use it up
    ),
    User(
        "migrate",
        "makes, changes, backs up and restores tables; used for the time of `msgmetrics migrate` and `backup` alone",
        (
            # A table is renamed by who may drop it.
            f"CREATE DATABASE, CREATE TABLE, ALTER TABLE, DROP TABLE, SELECT, INSERT, BACKUP ON {DATABASE}.*",
            *_on("CREATE VIEW, DROP VIEW", VIEWS),
            "SELECT ON system.clusters",
            "SELECT ON system.mutations",
            "SELECT ON system.tables",
            "SELECT ON system.parts",
            "SELECT ON system.processes",
            "CLUSTER, REMOTE ON *.*",
        ),
        settings={},
        fixed={"max_concurrent_queries_for_user": 100},  # for the views over a cluster it holds for who reads them
    ),
    User(
        "operator",
        "runs every other command: reads all, manages keys, rebuilds, erases; cannot change or drop a table",
        (
            f"SELECT, INSERT, ALTER DELETE ON {DATABASE}.*",
            "SELECT ON system.mutations",
            "SELECT ON system.processes",
            "CLUSTER ON *.*",
        ),
        settings={},
        fixed={"max_concurrent_queries_for_user": 16},
    ),
)

HEADER = "Made by `python -m deploy.clickhouse_server.make_users`; change the table there."
PASSWORDS = "Passwords are not here: deploy/make-secrets.sh puts their SHA-256 into a file that goes with this one."


def render_xml() -> str:
    """users.xml, to be put into users.d. The passwordless user `default` is left to loopback, for health checks."""
    root = Element("clickhouse")
    _fill(SubElement(root, "profiles"), {user.name: _profile(user) for user in USERS})
    _fill(SubElement(root, "quotas"), {user.name: _quota(user) for user in USERS})
    users = SubElement(root, "users")
    networks = SubElement(SubElement(users, "default"), "networks", {"replace": "replace"})
    _fill(networks, {"ip": ["127.0.0.1", "::1"]})
    for user in USERS:
        users.append(Comment(f" {user.purpose} "))
        _fill(users, {user.name: _user(user)})
    indent(root)
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<!-- {HEADER}\n     {PASSWORDS} -->\n'
    return head + tostring(root, "unicode") + "\n"


def _fill(parent: Element, content: Mapping[str, Any]) -> None:
    """Add an element for each name: a mapping nests, a list repeats the element, anything else is its text."""
    for name, value in content.items():
        for one in value if isinstance(value, list) else [value]:
            element = SubElement(parent, name)
            if isinstance(one, Mapping):
                _fill(element, one)
            else:
                element.text = str(one)


def _profile(user: User) -> dict[str, Any]:
    limits = {name: {"min": 1, "max": value} for name, value in user.fixed.items()}
    return {**user.settings, **user.fixed, "constraints": limits}


def _quota(user: User) -> dict[str, Any]:
    return {"interval": {"duration": 60, "queries": user.queries_a_minute}}


def _user(user: User) -> dict[str, Any]:
    grants = {"query": [f"GRANT {grant}" for grant in user.grants]}
    return {"networks": {"ip": "::/0"}, "profile": user.name, "quota": user.name, "grants": grants}


def statements() -> list[str]:
    """The same users as statements, with passwords' SHA-256 as parameters; on a cluster, add ON CLUSTER to each."""
    return [statement for user in USERS for statement in _statements(user)]


def _statements(user: User) -> list[str]:
    role = f"{DATABASE}_{user.name}"
    settings = [f"{name} = {value}" for name, value in user.settings.items()]
    settings += [f"{name} = {value} MIN 1 MAX {value}" for name, value in user.fixed.items()]
    quota = f"MAX queries = {user.queries_a_minute}" if user.queries_a_minute else "NO LIMITS"
    return [
        f"CREATE ROLE IF NOT EXISTS {role}",
        *(f"GRANT {grant} TO {role}" for grant in user.grants),
        f"CREATE SETTINGS PROFILE IF NOT EXISTS {role} SETTINGS {', '.join(settings)} TO {role}",
        f"CREATE QUOTA IF NOT EXISTS {role} FOR INTERVAL 1 minute {quota} TO {role}",
        f"CREATE USER IF NOT EXISTS {user.name} IDENTIFIED WITH sha256_hash BY {{{user.name}_sha256:String}} "
        f"DEFAULT ROLE {role}",
    ]


def render_sql() -> str:
    """users.sql."""
    usage = "  cat secrets/passwords.sql deploy/clickhouse_server/users.sql | clickhouse-client --ask-password --user …"
    blocks = (f"-- {user.name}: {user.purpose}\n" + "".join(f"{s};\n" for s in _statements(user)) for user in USERS)
    return f"-- {HEADER}\n-- {PASSWORDS}\n-- Run as an administrator:\n-- {usage}\n\n" + "\n".join(blocks)


def published() -> dict[str, str]:
    """The text of each file, by its name."""
    return {"users.xml": render_xml(), "users.sql": render_sql()}


def main() -> None:
    """Write the files."""
    folder = Path(str(files("deploy.clickhouse_server")))
    for name, text in published().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
