"""The meaning of an answer: buckets, exact numbers, and null for what is not aggregated yet. Pure.

An answer about what has changed has the buckets that are listed, each with the time its number was computed.

The structs are the shape of a JSON answer: they are what is written, and the published schema is made from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from api.params import COMPARISONS
from api.window import Question, Window
from schemas.grain import MS_PER_SECOND, Grain
from schemas.instant import second

Value = int | Decimal
Groups = Sequence[tuple[str, Value]]
"""(key, value), '' being no key."""
Rows = Mapping[int, Value] | Mapping[int, Groups]
"""Per bucket start its value, or its groups; a bucket without a row is missing."""

METRIC_NAME = "messages.outbound."
REF = "#/components/schemas/{name}"

Time = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]
Number = Annotated[
    msgspec.Raw,
    msgspec.Meta(
        description="Exact: whole, or at most 6 decimals, never with an exponent. A count is never negative; a cost is "
        "where credits exceed what was charged.",
        extra_json_schema={"type": "number"},
    ),
]
"""A JSON number as its text: a float would not be exact."""


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of the parts of an answer. They hold no cycles, so that the garbage collector need not follow them."""


class Bucket(Shape, frozen=True):
    bucket_start: Time
    value: Number | None


class Group(Shape, frozen=True):
    key: str | None
    value: Number


class GroupedBucket(Shape, frozen=True):
    bucket_start: Time
    groups: list[Group] | None


UpdatedAt = Annotated[
    Time | None,
    msgspec.Meta(description="When the number was computed; null where there never was anything to compute it from."),
]


class ChangedBucket(Bucket, frozen=True):
    updated_at: UpdatedAt


class ChangedGroupedBucket(GroupedBucket, frozen=True):
    updated_at: UpdatedAt


BUCKETS = (Bucket, GroupedBucket, ChangedBucket, ChangedGroupedBucket)


BucketList = Annotated[
    list[Any],  # all of one kind, but msgspec has no unions of structs without tags
    msgspec.Meta(
        description="Ascending, half-open, without holes, except where updated_since lists some alone. null is not "
        "aggregated yet, 0 and [] are known. A group that is missing among groups is 0.",
        extra_json_schema={"items": {"oneOf": [{"$ref": REF.format(name=kind.__name__)} for kind in BUCKETS]}},
    ),
]


class Comparison(Shape, frozen=True):
    compare_to: Annotated[str, msgspec.Meta(extra_json_schema={"enum": list(COMPARISONS)})]
    since: Time = msgspec.field(name="from")
    until: Time = msgspec.field(name="to")
    buckets: BucketList


class Data(Shape, frozen=True):
    metric: str
    granularity: Grain
    since: Time = msgspec.field(name="from")
    until: Time = msgspec.field(name="to")
    buckets: BucketList
    comparison: Comparison | msgspec.UnsetType = msgspec.UNSET


class Meta(Shape, frozen=True):
    as_of: Annotated[Time | None, msgspec.Meta(description="How far aggregation has come.")]
    limit: int
    next_cursor: str | None
    next_updated_since: Annotated[
        Time | msgspec.UnsetType | None,
        msgspec.Meta(
            description="Only with updated_since: what to ask with next time, once all pages are read. null before "
            "anything is aggregated: ask with the same again."
        ),
    ] = msgspec.UNSET


class Metrics(Shape, frozen=True):
    success: Annotated[bool, msgspec.Meta(extra_json_schema={"const": True})]
    data: Data
    meta: Meta


@dataclass(frozen=True, slots=True)
class Changed:
    """What an answer about what has changed has besides, in epoch seconds: the buckets that are listed, when their rows
    were computed, and what to ask with next time."""

    starts: Sequence[int]
    computed_at: Mapping[int, int]
    next_updated_since: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A page of an answered question. ``prior`` has the rows of the period before, where that was asked for."""

    question: Question
    page: Window
    rows: Rows
    prior: Rows | None
    as_of: int | None
    limit: int
    next_cursor: str | None
    changed: Changed | None = None

    @property
    def is_grouped(self) -> bool:
        return self.question.group_by is not None

    def buckets(self) -> list[Any]:
        """The page's buckets, or those of them that are listed."""
        if self.changed is None:
            return buckets(self.page, self.rows, self.as_of, grouped=self.is_grouped)
        return changed_buckets(self.changed, self.rows, grouped=self.is_grouped)

    @property
    def bucket_count(self) -> int:
        return self.page.count if self.changed is None else len(self.changed.starts)

    def prior_buckets(self) -> list[Any] | None:
        """The buckets of the prior period, index by index beside the page's; None where not asked for."""
        if self.prior is None:
            return None
        return buckets(self.question.prior(self.page), self.prior, self.as_of, grouped=self.is_grouped)

    def data(self) -> Data:
        """The ``data`` of a JSON answer."""
        question, window = self.question, self.question.window
        return Data(
            METRIC_NAME + question.metric,
            window.grain,
            second(window.start),
            second(window.end),
            self.buckets(),
            self._comparison(),
        )

    def meta(self) -> Meta:
        """The ``meta`` of a JSON answer."""
        following = msgspec.UNSET if self.changed is None else instant(self.changed.next_updated_since)
        return Meta(instant(self.as_of), self.limit, self.next_cursor, following)

    def _comparison(self) -> Comparison | msgspec.UnsetType:
        prior, before = self.prior_buckets(), self.question.window.before()
        if prior is None or self.question.compare_to is None:
            return msgspec.UNSET
        return Comparison(self.question.compare_to, second(before.start), second(before.end), prior)


def as_of_seconds(as_of_ms: int) -> int | None:
    """``as_of`` cut to whole seconds; None before the first watermark."""
    return as_of_ms // MS_PER_SECOND if as_of_ms else None


def instant(seconds: int | None) -> str | None:
    """An instant as text; None stays None."""
    return None if seconds is None else second(seconds)


def number(value: Value) -> msgspec.Raw:
    """A JSON number from an integer or a decimal: whole when it is whole, else up to 6 decimals; never -0."""
    if not value:
        return msgspec.Raw(b"0")  # a decimal zero may have a sign, and as many decimals as it likes
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return msgspec.Raw((text.rstrip("0").rstrip(".") if "." in text else text).encode())


def _groups(groups: Groups) -> list[Group]:
    """Sorted by key, no key (null) last; a group of 0 is left out, whether it has nothing or its costs cancel out."""
    ordered = sorted((g for g in groups if g[1]), key=lambda g: (not g[0], g[0]))
    return [Group(key or None, number(value)) for key, value in ordered]


def buckets(window: Window, rows: Rows, as_of: int | None, *, grouped: bool) -> list[Any]:
    """Every bucket of the window: Buckets, or GroupedBuckets.

    One that ends after ``as_of`` (epoch seconds) is null, even where a row is stored already.
    """
    known_until = -1 if as_of is None else as_of - window.grain.seconds
    answer: list[Bucket | GroupedBucket] = []
    for start in window.bucket_starts:
        row: Any = rows.get(start)
        if grouped:
            answer.append(GroupedBucket(second(start), _groups(row or ()) if start <= known_until else None))
        else:
            answer.append(Bucket(second(start), number(row or 0) if start <= known_until else None))
    return answer


def changed_buckets(changed: Changed, rows: Rows, *, grouped: bool) -> list[Any]:
    """The buckets that are listed, as ChangedBuckets or ChangedGroupedBuckets. All have a number."""
    answer: list[ChangedBucket | ChangedGroupedBucket] = []
    for start in changed.starts:
        row: Any = rows.get(start)
        updated_at = instant(changed.computed_at.get(start))
        if grouped:
            answer.append(ChangedGroupedBucket(second(start), _groups(row or ()), updated_at))
        else:
            answer.append(ChangedBucket(second(start), number(row or 0), updated_at))
    return answer
