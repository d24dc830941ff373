"""``msgmetrics dead-letters``: list, show and export them; redrive.py sends them back."""

import base64
from collections.abc import Iterable, Sequence

import click

from deploy.cli.arguments import parse_offsets
from deploy.cli.clickhouse import with_store
from deploy.cli.context import Context, say
from deploy.cli.letters import (
    OF_CLUSTER,
    Filter,
    Letter,
    filtered,
    left_out,
    letter_id,
    read_letters,
    say_left_out,
    told_incarnations,
)
from deploy.cli.redrive import redrive
from deploy.errors import Refused, Usage
from deploy.sql import sql
from deploy.terminal import safe_json
from pipeline.clickhouse.store import Store
from pipeline.core.place import Place
from pipeline.core.refusal import printable
from schemas.instant import rfc3339
from schemas.settings import Settings

SHOWN_BYTES, MOST_SHOWN = 4096, 100_000


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that broke the contract.

    Kept with the reason and the original bytes.

    \b
    Example:
      msgmetrics dead-letters list --reason future_timestamp
    """


dead_letters.add_command(redrive)


@dead_letters.command("list")
@filtered
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, MOST_SHOWN), help="letters shown")
@click.pass_obj
def letters_list(context: Context, wanted: Filter, limit: int) -> None:
    """How many there are by reason, and the first of them.

    \b
    Example:
      msgmetrics dead-letters list --reason future_timestamp --org acme --topic message-events
    """
    say(*with_store(context, lambda store, _: listing(store, wanted, limit), org=wanted.org))


@dead_letters.command("show")
@click.argument("name", metavar="ID")
@OF_CLUSTER
@click.pass_obj
def letters_show(context: Context, name: str, cluster: str) -> None:
    """Everything about the dead letter ID, which is topic/partition/offset, its bytes included.

    Of a topic that was made anew there may be several at one place; the newest comes first.

    \b
    Example:
      msgmetrics dead-letters show message-events/0/1234
    """
    place = parse_place(name, context.settings.topics[0])
    say(*with_store(context, lambda store, _: describe(store, place, cluster)))


@dead_letters.command("export")
@filtered
@click.pass_obj
def letters_export(context: Context, wanted: Filter) -> None:
    """All of them as NDJSON on stdout, bytes as base64.

    \b
    Example:
      msgmetrics dead-letters export --from 2026-05-05T00:00:00Z
    """

    def export(store: Store, _: Settings) -> None:
        say_left_out(store, wanted)
        for letter in read_letters(store, wanted):
            say(as_line(letter))

    with_store(context, export, org=wanted.org)


def parse_place(text: str, some_topic: str) -> tuple[Place, int]:
    """The place and offset of an id like topic/partition/offset. Raises Usage, with an example."""
    found = parse_offsets(text)
    if found is None or found[2] is not None:
        raise Usage(f"a dead letter's id is topic/partition/offset, like {some_topic}/0/1234; not {text!r}")
    return found[:2]


def listing(store: Store, wanted: Filter, limit: int) -> list[str]:
    """Lines with the counts by reason, and the first letters."""
    by_reason = counts(store, wanted)
    letters = list(read_letters(store, wanted, limit=limit))
    others = left_out(store, wanted)
    if not by_reason:
        return ["no dead letters", *others]
    lines = [f"{number:>8} {reason}" + (f", {sent} sent back" if sent else "") for reason, number, sent in by_reason]
    lines += ["", f"{'id':<32} {'reason':<17} {'organization':<16} {'record time':<24} why"]
    lines += [
        f"{letter_id(x):<32} {x.reason:<17} {x.org_id[:16]:<16} {rfc3339(x.record_ms) or '':<24} "
        f"{x.detail}{_state(x, made)}"
        for x, made in _with_incarnations(letters)
    ]
    wanted_in_all = sum(number for reason, number, _ in by_reason if wanted.reason in ("", reason))
    return [*lines, *_not_shown(wanted_in_all - len(letters), wanted_in_all), *others]


def _not_shown(more: int, of_all: int) -> list[str]:
    """A line on the letters that a listing has left out for its length; none where it has all."""
    if more <= 0:
        return []
    raised = f"--limit {of_all} shows them, and " if of_all <= MOST_SHOWN else ""
    return [f"… and {more} more; {raised}`msgmetrics dead-letters export` has them all"]


def counts(store: Store, wanted: Filter) -> list[tuple[str, int, int]]:
    """(reason, letters, of them sent back), for every reason, also those that the filter leaves out."""
    rows = store.rows("counting dead letters", sql("cli/dead_letter_counts"), **wanted.parameters(store))
    return [(reason, int(letters), int(redriven)) for reason, letters, redriven in rows]


def _with_incarnations(letters: Sequence[Letter]) -> Iterable[tuple[Letter, str]]:
    return zip(letters, told_incarnations((letter_id(x), x.incarnation) for x in letters), strict=True)


def _state(letter: Letter, incarnation: str = "") -> str:
    words = [incarnation] if incarnation else []
    words += ["its event is counted by now"] if letter.is_resolved else []
    words += [f"sent back {letter.redrives} times" if letter.redrives > 1 else "sent back"] if letter.redrives else []
    words += ["is itself a record that was sent back"] if letter.was_redriven else []
    return f" [{'; '.join(words)}]" if words else ""


def describe(store: Store, at: tuple[Place, int], cluster: str = "") -> list[str]:
    """Lines with everything about the letters at a place, their bytes included. Raises Refused where there is none.

    There are several where a topic was made anew: that of its newest incarnation comes first.
    """
    letters = sorted(read_letters(store, Filter(cluster=cluster), at=at), key=lambda x: x.incarnation, reverse=True)
    if not letters:
        raise Refused(f"no dead letter is at {at[0].at(at[1])}; `msgmetrics dead-letters list` shows which are")
    described = [_described(letter, incarnation) for letter, incarnation in _with_incarnations(letters)]
    return [line for n, lines in enumerate(described) for line in ([""] if n else []) + lines]


def _described(letter: Letter, incarnation: str) -> list[str]:
    facts = {
        "id": letter_id(letter) + (f" ({incarnation})" if incarnation else ""),
        "reason": letter.reason,
        "why": letter.detail,
        "organization": letter.org_id or "cannot be told",
        "event": letter.event_id or "cannot be told",
        "type": letter.type or "cannot be told",
        "occurred at": rfc3339(letter.occurred_ms) or "cannot be told",
        "record time": rfc3339(letter.record_ms) or "none",
        "seen at": rfc3339(letter.seen_ms) or "",
        "state": _state(letter).strip(" []") or "waits",
        "key": _readable(letter.key),
        "headers": ", ".join(f"{_readable(name)}={_readable(value)}" for name, value in letter.headers) or "none",
    }
    size = "no value" if letter.value is None else f"value, {len(letter.value)} bytes:"
    lines = [f"{name:<13} {text}" for name, text in facts.items()]
    return [*lines, "", size, *([_readable(letter.value)] if letter.value else [])]


def _readable(value: bytes | None) -> str:
    """Bytes as text; control characters, and bytes that are no UTF-8, are escaped."""
    if value is None:
        return "none"
    text = value[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    return printable(text) + (f" … and {len(value) - SHOWN_BYTES} bytes more" if len(value) > SHOWN_BYTES else "")


def _name(name: bytes) -> dict[str, str]:
    """The name of a header; as base64 where it is no UTF-8."""
    try:
        return {"name": name.decode()}
    except UnicodeDecodeError:
        return {"name_base64": base64.b64encode(name).decode()}


def as_line(letter: Letter) -> str:
    """A letter as a line of NDJSON; bytes are base64, null where there were none."""

    def text(value: bytes | None) -> str | None:
        return None if value is None else base64.b64encode(value).decode()

    document = {
        "id": letter_id(letter),
        "topic": letter.place.topic,
        "partition": letter.place.number,
        "offset": letter.offset,
        "incarnation": letter.incarnation,
        "reason": letter.reason,
        "detail": letter.detail,
        "org_id": letter.org_id or None,
        "event_id": letter.event_id or None,
        "type": letter.type or None,
        "occurred_at": rfc3339(letter.occurred_ms),
        "record_at": rfc3339(letter.record_ms),
        "seen_at": rfc3339(letter.seen_ms),
        "key_base64": text(letter.key),
        "value_base64": text(letter.value),
        "headers": [{**_name(name), "value_base64": text(value)} for name, value in letter.headers],
        "redrives": letter.redrives,
        "resolved": letter.is_resolved,
    }
    return safe_json(document)
