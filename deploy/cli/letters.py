"""Stored dead letters: which are wanted, and reading them. Shared by the commands on dead letters."""

import base64
import shlex
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from deploy.cli.arguments import CLUSTER, ORGANIZATION, TOPIC, choice
from deploy.cli.context import INSTANT, check_span, say
from deploy.sql import sql
from pipeline.clickhouse.store import Store
from pipeline.core.exact import LATEST_MS
from pipeline.core.place import Place
from schemas.grain import MS_PER_SECOND
from schemas.message_event import DeadLetterReason

REDRIVEN_HEADER = b"msgmetrics-redriven"
"""Says of a record that it was sent back, and from where: topic/partition/offset."""
ALL = 2**63 - 1
SHOWN_CLUSTERS = 3


@dataclass(frozen=True, slots=True)
class Letter:
    """A stored dead letter. Instants are epoch milliseconds, 0 for none; ``type`` is '' where it cannot be told.

    ``incarnation`` tells topics of one name apart, of which the later was made anew.
    """

    place: Place
    offset: int
    incarnation: int
    reason: str
    detail: str
    org_id: str
    event_id: str
    type: str
    occurred_ms: int
    record_ms: int
    seen_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[bytes, bytes | None], ...]
    redrives: int
    is_resolved: bool

    @property
    def was_redriven(self) -> bool:
        """Whether this record is itself one that was sent back."""
        return any(name == REDRIVEN_HEADER for name, _ in self.headers)


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice of dead letters: by reason, organization, span of record time, topic; empty is any.

    They are of one Kafka cluster, by default the store's.
    """

    reason: str = ""
    org: str = ""
    from_ms: int = 0
    to_ms: int = LATEST_MS
    cluster: str = ""
    topic: str = ""

    def cluster_id(self, store: Store) -> str:
        return self.cluster or store.cluster_id

    def parameters(self, store: Store) -> dict[str, Any]:
        return {
            "topic": self.topic,
            "cluster_id": self.cluster_id(store),
            "org": self.org,
            "from_ms": self.from_ms,
            "to_ms": self.to_ms,
        }


REASON = choice("--reason", click.Choice([r.value for r in DeadLetterReason]), "only this reason")
OF_ORG = choice("--org", ORGANIZATION, "only those that name this organization")
SINCE = click.option("--from", "start", default=0, type=INSTANT, help="only records from this time on")
UNTIL = click.option("--to", "end", default=None, type=INSTANT, help="only records before this time")
OF_TOPIC = choice("--topic", TOPIC, "only records of this topic")
OF_CLUSTER = choice("--cluster", CLUSTER, "those of another Kafka cluster than the one in use")


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Options that choose dead letters; the command is given them as ``wanted``, a Filter. Raises Usage."""

    @REASON
    @OF_ORG
    @SINCE
    @UNTIL
    @OF_TOPIC
    @OF_CLUSTER
    @wraps(command)
    def with_filter(
        *words: Any, reason: str, org: str, start: int, end: int | None, topic: str, cluster: str, **others: Any
    ) -> None:
        if end is not None:
            check_span(start, end)
        until_ms = LATEST_MS if end is None else end * MS_PER_SECOND
        command(*words, wanted=Filter(reason, org, start * MS_PER_SECOND, until_ms, cluster, topic), **others)

    return with_filter


def _letter(row: Sequence[Any]) -> Letter:
    topic, number, offset, reason, detail, org, event, kind, incarnation, occurred, record, seen = row[:12]
    key, has_key, value, has_value = row[12:16]
    redrives, is_resolved = row[19:]
    headers = [
        (base64.b64decode(n), None if null else base64.b64decode(v)) for n, v, null in zip(*row[16:19], strict=True)
    ]
    return Letter(
        Place(topic, int(number)), int(offset), int(incarnation), reason, detail, org, event, kind,
        int(occurred), int(record), int(seen),
        base64.b64decode(key) if has_key else None,
        base64.b64decode(value) if has_value else None,
        tuple(headers),
        int(redrives), bool(is_resolved),
    )  # fmt: skip


def read_letters(
    store: Store, wanted: Filter, *, limit: int = ALL, at: tuple[Place, int] | None = None
) -> Iterator[Letter]:
    """The letters of a filter, oldest first, in constant memory; or all those at a place and offset."""
    parameters = wanted.parameters(store) | {"reason": wanted.reason, "limit": limit, "partition": -1, "offset": -1}
    if at is not None:
        place, offset = at
        parameters |= {"topic": place.topic, "partition": place.number, "offset": offset}
    for row in store.stream("reading dead letters", sql("cli/dead_letters"), **parameters):
        yield _letter(row)


def letter_id(letter: Letter) -> str:
    """The id by which people name a letter: topic/partition/offset."""
    return letter.place.at(letter.offset)


def told_incarnations(places: Iterable[tuple[Hashable, int]]) -> list[str]:
    """Words on the topic's incarnation for each letter, given as (id, incarnation); '' where they tell nothing.

    A topic that was never made anew has incarnation 0 only.
    """
    known = list(places)
    letters_of = Counter(name for name, _ in set(known))
    return [f"incarnation {n} of the topic" if n or letters_of[name] > 1 else "" for name, n in known]


def left_out(store: Store, wanted: Filter) -> list[str]:
    """Lines on letters that somebody may look for in a choice and that are not in it: of no time, of other clusters."""
    rows = store.rows(
        "counting dead letters", sql("cli/letters_left_out"), **wanted.parameters(store), reason=wanted.reason
    )
    ours = wanted.cluster_id(store)
    timeless = sum(int(number) for cluster, _, number in rows if cluster == ours and wanted.from_ms > 0)
    others = [(cluster, int(number)) for cluster, number, _ in rows if cluster != ours]
    return [
        *([f"{timeless} more without a time, of the record or its event; leave --from out for them"] * (timeless > 0)),
        *(
            f"{number} more of Kafka cluster {cluster}; --cluster {shlex.quote(cluster)} chooses them"
            for cluster, number in others[:SHOWN_CLUSTERS]
        ),
        *([f"… and of {len(others) - SHOWN_CLUSTERS} clusters more"] * (len(others) > SHOWN_CLUSTERS)),
    ]


def say_left_out(store: Store, wanted: Filter) -> None:
    """Print the same on stderr, beside an output that is not for people or that ends in a sentence."""
    for line in left_out(store, wanted):
        say(line, err=True)
