"""``msgmetrics erase``: everything of an organization, for good."""

from collections.abc import Sequence
from typing import Any

import click

from deploy.cli.accounts import list_keys, revoke_key
from deploy.cli.arguments import ORG_ARGUMENT
from deploy.cli.clickhouse import check_clocks, with_store
from deploy.cli.context import INSTANT, Context, confirm, say, warn
from deploy.cli.interruption import unfinished
from deploy.cli.topic_checks import name_topics
from deploy.errors import Refused
from deploy.sql import sql
from pipeline.clickhouse.client import ClickHouse
from pipeline.clickhouse.store import Store
from pipeline.core.effects import ReadState
from pipeline.core.erasure import order_erasure_steps
from pipeline.repair.lease import run_leased
from schemas.connection import connect_writer
from schemas.grain import MS_PER_SECOND, Grain
from schemas.instant import rfc3339, second
from schemas.message_event import MAX_RECORD_BYTES
from schemas.settings import Settings

UNASKED_MS = Grain.HOUR.milliseconds
"""An erasure reaches at most this far ahead of now, unless --until confirms more."""

UNFINISHED = (
    "what was erased stays so; if the erasure had begun, a worker finishes it within minutes, and so does the same "
    "command at any time: it is safe to run it again"
)


@click.command()
@ORG_ARGUMENT
@click.option("--until", type=INSTANT, help="confirm an erasure that reaches ahead of now, up to this instant at most")
@click.option("--dry-run", is_flag=True, help="only say what there is, what stays where, and how long")
@click.option("--yes", is_flag=True, help="do not ask")
@click.pass_obj
def erase(context: Context, org: str, until: int | None, dry_run: bool, yes: bool) -> None:
    """Erase an organization for good.

    What ORG has sent up to now: its facts, dead letters and rollups are deleted and its keys revoked; no replay and no
    redelivery brings them back. What it sends from now on is counted again. If a clock that is ahead has stamped some
    of its records, the erasure reaches up to the newest of these; more than an hour ahead must be confirmed.

    \b
    Example:
      msgmetrics erase acme --dry-run
    """
    say(*with_store(context, lambda store, settings: erasure_preview(store, settings, org), org=org))
    if dry_run:
        return
    with_store(context, lambda store, _: find_instant(store, org, until))
    if not yes:
        confirm(f"Erase {org!r}? This cannot be undone")
    say(
        with_store(
            context,
            lambda store, _: erase_organization(store, org, find_instant(store, org, until)),
            org=org,
        )
    )


def erasure_preview(store: Store, settings: Settings, org: str) -> list[str]:
    """Sentences that say how much there is of an organization, what stays where, and how long."""
    facts, letters, minutes, hours, days, keys, statements = map(int, _counts(store, org))
    return [
        f"{org} has {facts} facts, {letters} dead letters, {minutes + hours + days} rollup rows "
        f"({minutes} minutes, {hours} hours, {days} days) and {keys} valid keys. Erasing removes all of it.",
        *ahead_of_now(store.clock_ms(), newest_record(store, org)),
        f"What stays: its records in Kafka, in {name_topics(_topics(store, settings))}, until Kafka's own retention; "
        f"dead letters so broken that nobody can be named for them, or larger than {MAX_RECORD_BYTES >> 20} MiB, until "
        f"{settings.dead_letter_retention_days} days after they were seen; its id, in the list of erasures, by "
        "which its records are dropped wherever they turn up again; backups that were made before.",
        *_kept(org, statements),
        "Copies that it keeps of its numbers (with updated_since) learn of the erasure only with a new key: tell it to "
        "delete them, or give it one.",
        "What comes later counts: if prices (message.charged) of its messages are still to be published, stop whoever "
        "publishes them, or erase it again.",
    ]


def _kept(org: str, statements: int) -> list[str]:
    """A sentence on statements, which stay; none where there are none."""
    if not statements:
        return [
            f"No month that has begun can be stated of {org} any more: close first what is to be billed (`msgmetrics "
            "statements close`). The month that is under way cannot be closed; keep its numbers otherwise."
        ]
    many = "s stay, as records" if statements > 1 else " stays, as a record"
    return [
        f"Its {statements} statement{many} that the law may ask for; no revision is made any more of a month that has "
        f"begun, so adjust first what is to be billed, and keep the numbers of the month that is under way otherwise. "
        f"`msgmetrics statements erase {org}` removes what stays."
    ]


def _topics(store: Store, settings: Settings) -> Sequence[str]:
    """The topics that are read here, and those of which anything was ever read."""
    return sorted({*settings.topics, *(place.topic for place in store.read_stored())})


def newest_record(store: ClickHouse, org: str) -> int:
    """The newest record time stored of an organization, in epoch milliseconds; 0 where it has nothing."""
    return int(store.rows("looking for the newest record", sql("cli/newest_record"), org=org)[0][0])


def ahead_of_now(now_ms: int, newest_ms: int) -> list[str]:
    """Sentences on records that are stamped ahead of now; none where there are none."""
    if newest_ms <= now_ms:
        return []
    reach = (
        f"Its newest record is stamped {rfc3339(newest_ms)}, {(newest_ms - now_ms) / MS_PER_SECOND:.0f} s ahead of "
        "ClickHouse's now, so the erasure reaches up to then: what it sends until then is dropped too."
    )
    if newest_ms - now_ms <= UNASKED_MS:
        return [reach]
    return [f"{reach} As that is more than an hour, it takes --until {_second_after(newest_ms)} to confirm it."]


def find_instant(store: Store, org: str, until: int | None) -> int:
    """The instant up to which an organization is erased (epoch milliseconds). Raises Refused, see `choose_instant`."""
    check_clocks(store.perform(ReadState()))
    return choose_instant(org, store.clock_ms(), newest_record(store, org), until)


def choose_instant(org: str, now_ms: int, newest_ms: int, until: int | None) -> int:
    """Now, or the newest record time if a clock that was ahead has stamped it. ``until`` is epoch seconds.

    Records are erased by their own time, since a later reading has a later clock and would bring them back. Raises
    Refused where that is more than UNASKED_MS ahead and not confirmed.
    """
    is_confirmed = until is not None and newest_ms <= until * MS_PER_SECOND
    if newest_ms - now_ms > UNASKED_MS and not is_confirmed:
        raise Refused(
            f"the newest record of {org} is stamped {rfc3339(newest_ms)}, more than an hour ahead of ClickHouse's now; "
            "the erasure would reach up to then and drop all that it sends until then. Add "
            f"--until {_second_after(newest_ms)} to confirm that"
        )
    return max(now_ms, newest_ms)


def _second_after(instant_ms: int) -> str:
    return second(-(-instant_ms // MS_PER_SECOND))


def _counts(store: ClickHouse, org: str) -> Any:
    return store.rows("counting", sql("cli/organization_counts"), org=org)[0]


def erase_organization(store: Store, org: str, at_ms: int) -> str:
    """Revoke the keys, delete, and look once more. Raises Refused where something is left."""
    client = connect_writer(store.endpoint)
    with unfinished(UNFINISHED):
        for key in list_keys(client, org):
            if key.revoked_at is None:
                revoke_key(client, key.id)
        run_leased(store, f"erase {org}", order_erasure_steps(org, at_ms), lambda _: None, warn)
    facts, letters, minutes, hours, days, keys, _ = map(int, _counts(store, org))
    if keys:
        raise Refused(f"{org} has a key again; revoke it and erase once more")
    return (
        f"erased {org} up to {rfc3339(at_ms)}; of what it has sent since, there are {facts} facts, {letters} dead "
        f"letters and {minutes + hours + days} rollup rows"
    )
