"""``msgmetrics backup``: consistent backups of ClickHouse while workers go on writing.

A backup of several tables is of no single moment. What matters is an order: progress (how far Kafka was read, how far
buckets were closed) must be *older* than the facts and rollups it speaks for, since what lies beyond it is read from
Kafka again, and reading twice is harmless. So progress is taken first. Then, since stored progress runs ahead of the
recomputes of late events, it waits until Kafka's committed offsets have passed it, which they do only when those
recomputes are done; and only then takes the rest.

Offsets are compared with the progress of the Kafka cluster that they are committed in, of the topics on the list. That
of another cluster, whose id Kafka had before, or of a topic that is not on the list, is backed up as it stands: nobody
need read there any more, so it might be waited for in vain.

Statements are taken last and restored first, and with them who was erased: a month that is missing would be stated,
and billed, once more, and one of an organization that is not known to be erased taken back. What was stated after the
backup is missing all the same, so a restore has `statements` stop until somebody has looked.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence

import click
from clickhouse_connect.driver.client import Client

from deploy.cli.clickhouse import connected
from deploy.cli.context import Context, say
from deploy.cli.kafka import cluster_id, committed_offsets
from deploy.cli.topic_checks import name_topics
from deploy.cli.topic_progress import read_stored
from deploy.errors import CommandError, Refused, Usage
from deploy.migrations.apply import half_applied, ledger
from deploy.sql import sql
from pipeline.clickhouse.client import sql as pipeline_sql
from pipeline.core.place import Place
from schemas import tables
from schemas.settings import Settings
from schemas.sharding import everywhere

PROGRESS = (tables.PARTITION_WATERMARKS, tables.WATERMARK)
STATEMENTS = (tables.STATEMENTS, tables.STATEMENT_RESTORES, tables.ERASURES)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}", re.ASCII)
PLACES = re.compile(r"[A-Za-z][A-Za-z0-9_]*\([\x20-\x3a\x3c-\x7e]+\)")
WAIT_SECONDS, POLL_SECONDS = 600, 0.5
RESUME = (
    "no month is stated until you have imported what was stated after the backup, and said `msgmetrics statements "
    "resume`"
)


PLACE = click.option(
    "--place", default="File('{}')", show_default=True, help="where, in ClickHouse's words, with {} for the name"
)


@click.group()
def backup() -> None:
    """Backups of ClickHouse, taken while workers run; deploy/README.md says how often."""


@backup.command("create")
@click.argument("name")
@PLACE
@click.pass_obj
def backup_create(context: Context, name: str, place: str) -> None:
    """Back up all tables as NAME-progress, NAME-data and NAME-statements, in the order that is right for a restore.

    \b
    Examples:
      msgmetrics backup create 2026-11-25
      msgmetrics backup create 2026-11-25 --place "S3(backups, '{}')"
    """
    _destination(place, name, "data")
    connected(context, lambda client, settings: create(client, settings, name, place, say))


@backup.command("restore")
@click.argument("name")
@PLACE
@click.option("--facts-only", is_flag=True, help="only facts and statements; the workers compute all else again")
@click.pass_obj
def backup_restore(context: Context, name: str, place: str, facts_only: bool) -> None:
    """Restore into an empty database; workers must be stopped.

    Statements that were made after the backup are not in it: import what was exported since, then say `msgmetrics
    statements resume`.

    \b
    Examples:
      msgmetrics backup restore 2026-11-25
      msgmetrics backup restore 2026-11-25 --facts-only
    """
    _destination(place, name, "data")
    connected(
        context,
        lambda client, settings: restore(client, settings, name, place, say, facts_only=facts_only),
    )


def create(client: Client, settings: Settings, name: str, place: str, tell: Callable[[str], None]) -> None:
    """Back everything up as NAME-progress, NAME-data and NAME-statements.

    Raises CommandError where the workers make no progress, and Refused where there is none of the Kafka cluster that
    is asked."""
    names = _tables(client)
    data = [table for table in names if table not in (*PROGRESS, *STATEMENTS)]
    if not set(PROGRESS) <= set(names):
        raise Refused("the database is not set up, so there is nothing to back up; run `msgmetrics migrate`")
    if begun := half_applied(client):
        raise Refused(f"{begun[0]} has begun and not ended; run `msgmetrics migrate` to its end, then back up")
    if not set(STATEMENTS) <= set(names):
        raise Refused("the database is not set up for this version; run `msgmetrics migrate`, then back up")
    before, ours = ledger(client), cluster_id(settings)
    check_cluster(_of_topics(stored_offsets(client), settings), ours, settings)
    _run(client, "BACKUP", PROGRESS, "TO", _destination(place, name, "progress"), settings.clickhouse_cluster)
    found = stored_offsets(client)
    stored = _of_topics(found, settings)
    if others := sorted(found.keys() - {ours}):
        tell(f"progress of other Kafka clusters than {ours} is backed up as it stands: {', '.join(others)}")
    if unlisted := unlisted_topics(client, ours, settings):
        tell(
            f"progress of {name_topics(unlisted)} is backed up as it stands, since MSGMETRICS_KAFKA_TOPIC does not "
            "name it: where a worker still reads it, back up with the list of all workers, or run `msgmetrics "
            "reconcile` after a restore"
        )
    tell(f"progress is in {name}-progress; waiting for the workers to finish what it speaks for")
    wait_until_committed(settings, stored.get(ours, {}), time.monotonic)
    _run(client, "BACKUP", data, "TO", _destination(place, name, "data"), settings.clickhouse_cluster)
    _run(client, "BACKUP", STATEMENTS, "TO", _destination(place, name, "statements"), settings.clickhouse_cluster)
    if ledger(client) != before:
        raise Refused(f"a migration ran meanwhile, so that {name} is of two versions; delete it and take another")
    tell(f"{len(data)} tables are in {name}-data, and statements in {name}-statements")


def restore(
    client: Client, settings: Settings, name: str, place: str, tell: Callable[[str], None], *, facts_only: bool = False
) -> None:
    """Restore into an empty database; with ``facts_only`` nothing but facts and statements: the workers count anew.

    Raises Refused where the database has tables.
    """
    found = _tables(client)
    if found:
        raise Refused(
            f"the database has {len(found)} tables already; a backup is restored into an empty one "
            f"(DROP DATABASE, or another name in MSGMETRICS_CLICKHOUSE_URL). If they are of a restore that was "
            f"interrupted, begin again likewise: the last thing it does is to have copies of the numbers read anew"
        )
    cluster = settings.clickhouse_cluster
    data = _destination(place, name, "data")
    _run(client, "RESTORE", STATEMENTS, "FROM", _destination(place, name, "statements"), cluster)
    client.command(pipeline_sql("statements/note_restore"))
    if facts_only:
        _run(client, "RESTORE", [tables.FACTS], "FROM", data, cluster)
        tell("facts are restored; run `msgmetrics migrate`, then workers, which close every bucket from them")
        tell(RESUME)
        return
    database = str(client.query(sql("cli/database")).result_rows[0][0])
    for source in (data, _destination(place, name, "progress")):
        client.command(f"RESTORE DATABASE `{database}`{everywhere(cluster)} FROM {source}")
    if tables.RESYNCS in _tables(client):  # else `migrate` makes it, and says the same
        client.command(pipeline_sql("state/resync"), parameters={"org": ""})
    tell("restored; run `msgmetrics migrate`, then workers, which read on from where the backup stands")
    tell(RESUME)


def unlisted_topics(client: Client, ours: str, settings: Settings) -> list[str]:
    """Topics of a Kafka cluster that may be read elsewhere: not on the list here, and not retired."""
    return read_stored(client, ours).holding(settings.topics)


def stored_offsets(client: Client) -> dict[str, dict[Place, int]]:
    """Per Kafka cluster and partition the next offset that ClickHouse has, of the newest incarnation of its topic."""
    found: dict[str, dict[Place, int]] = {}
    rows = client.query(sql("cli/stored_offsets"), parameters={"cluster_id": ""}).result_rows
    for cluster, topic, number, offset in rows:
        found.setdefault(str(cluster), {})[Place(str(topic), int(number))] = int(offset)
    return found


def _of_topics(stored: Mapping[str, Mapping[Place, int]], settings: Settings) -> dict[str, dict[Place, int]]:
    """Stored offsets of the topics on the list, without clusters that have nothing of them."""
    listed = {
        cluster: {place: offset for place, offset in offsets.items() if place.topic in settings.topics}
        for cluster, offsets in stored.items()
    }
    return {cluster: offsets for cluster, offsets in listed.items() if offsets}


def check_cluster(stored: Mapping[str, object], ours: str, settings: Settings) -> None:
    """Raise Refused where all progress is that of other clusters: then none would be waited for, and the id may be one
    that the workers do not use."""
    if stored and ours not in stored:
        raise Refused(
            f"progress is stored of Kafka cluster {', '.join(sorted(stored))}, and none of {ours}, which answers at "
            f"{settings.kafka_bootstrap}; start a worker there first, or give this command the workers' "
            "MSGMETRICS_KAFKA_CLUSTER_ID"
        )


def wait_until_committed(settings: Settings, stored: Mapping[Place, int], clock: Callable[[], float]) -> None:
    """Block until the group has committed these offsets.

    Raises CommandError WAIT_SECONDS after the latest that a worker keeps them back in order to recompute rarely.
    """
    deadline = clock() + settings.late_pause_seconds + WAIT_SECONDS
    while behind := _behind(committed_offsets(settings, stored), stored):
        if clock() > deadline:
            places = ", ".join(map(str, behind))
            raise CommandError(
                f"partitions {places} are not committed as far as ClickHouse has stored them; "
                "is every worker running? `msgmetrics status` shows what they wait for"
            )
        time.sleep(POLL_SECONDS)


def _behind(committed: Mapping[Place, int], stored: Mapping[Place, int]) -> list[Place]:
    return [place for place, offset in sorted(stored.items()) if committed.get(place, 0) < offset]


def _tables(client: Client) -> list[str]:
    rows = client.query(sql("cli/tables")).result_rows
    return [str(row[0]) for row in rows]


def _destination(place: str, name: str, part: str) -> str:
    """The destination in ClickHouse's SQL: ``place`` is File('{}') or a named collection's, with {} for the name."""
    if NAME.fullmatch(name) is None:
        raise Usage(f"a backup's name has 1 to 100 of [A-Za-z0-9._-], not {name!r}")
    if place.count("{}") != 1 or PLACES.fullmatch(place) is None:
        raise Usage(
            f"--place is a place as ClickHouse writes it, with exactly one {{}} for the backup's name, as in "
            f"File('{{}}'); not {place!r}"
        )
    return place.replace("{}", f"{name}-{part}")


def _run(client: Client, what: str, names: Sequence[str], word: str, destination: str, cluster: str) -> None:
    # In Python, since BACKUP and RESTORE take no parameters; names of tables come from the code or from ClickHouse.
    wanted = ", ".join(f"TABLE {name}" for name in names)
    client.command(f"{what} {wanted}{everywhere(cluster)} {word} {destination}")
