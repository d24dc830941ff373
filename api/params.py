"""The endpoint's query string: all rules that need nothing but its text. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl

from api.errors import ValidationFailed
from schemas.grain import Grain
from schemas.instant import TIME_RULE, Instant, parse_instant

ENDPOINT = "/v1/metrics/messages"
MAX_LIMIT, DEFAULT_LIMIT = 5000, 1000
MAX_FIELDS = 100
REMEMBERED_QUERIES, REMEMBERED_BYTES = 1024, 512
"""Clients repeat themselves: so many query strings, none longer than this, are parsed once."""
GROUPS = ("channel", "error_code")
COMPARISONS = ("prior_period",)

_LIMIT = re.compile(r"[0-9]{1,6}", re.ASCII)


class Metric(StrEnum):
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    COST_CENTS = "cost_cents"


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters as sent; None for one that was not."""

    metric: Metric | None
    since: Instant | None
    until: Instant | None
    granularity: Grain | None
    group_by: str | None
    compare_to: str | None
    updated_since: Instant | None
    cursor: str | None
    limit: int


def _one_of(kind: Callable[[str], Any], choices: tuple[str, ...]) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        if text not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return kind(text)

    return parse


def _limit(text: str) -> int:
    if _LIMIT.fullmatch(text) is None or not 1 <= int(text) <= MAX_LIMIT:
        raise ValueError(f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


URL_TIME_RULE = TIME_RULE.replace("+", "%2B") + " (encode + as %2B)"
"""In a URL a plain + is a space."""

_instant = partial(parse_instant, rule=URL_TIME_RULE)

PARSERS: Mapping[str, Callable[[str], Any]] = {
    "metric": _one_of(Metric, tuple(Metric)),
    "from": _instant,
    "to": _instant,
    "granularity": _one_of(Grain, tuple(Grain)),
    "group_by": _one_of(str, GROUPS),
    "compare_to": _one_of(str, COMPARISONS),
    "updated_since": _instant,
    "cursor": str,
    "limit": _limit,
}


def parse_query(query_string: bytes, now: Instant) -> Query:
    """Parse a query string; ``now`` is what `to` defaults to.

    Raises ValidationFailed with a sentence per parameter, all at once. Bytes that are not UTF-8 become U+FFFD, so
    that the parameter they are in is the one that is refused.
    """
    parse = _remembered if len(query_string) <= REMEMBERED_BYTES else _parse_all
    values, found, timeless = parse(query_string)
    return timeless or _query(values, found, now)


def _query(values: Mapping[str, Any], found: Mapping[str, str], now: Instant) -> Query:
    """The query of these values. Raises ValidationFailed."""
    problems = dict(found)
    _check_together(values, problems, now)
    if problems:
        raise ValidationFailed({_printable(name): sentence for name, sentence in problems.items()})
    return Query(
        metric=values.get("metric"),
        since=values.get("from"),
        until=values.get("to"),
        granularity=values.get("granularity"),
        group_by=values.get("group_by"),
        compare_to=values.get("compare_to"),
        updated_since=values.get("updated_since"),
        cursor=values.get("cursor"),
        limit=values.get("limit", DEFAULT_LIMIT),
    )


def _parse_all(query_string: bytes) -> tuple[Mapping[str, Any], Mapping[str, str], Query | None]:
    """Values by parameter, a sentence per wrong one, and the finished query where it does not depend on now."""
    text = query_string.decode(errors="replace")
    if text.count("&") >= MAX_FIELDS:
        raise ValidationFailed({"query": f"must have at most {MAX_FIELDS} parameters"})
    problems: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        _parse_one(name, value, values, problems)
    is_timeless = "to" in values and not problems
    query = _query(values, problems, values["to"]) if is_timeless else None
    return MappingProxyType(values), MappingProxyType(problems), query


_remembered = lru_cache(REMEMBERED_QUERIES)(_parse_all)


def _check_together(values: Mapping[str, Any], problems: dict[str, str], now: Instant) -> None:
    """Check the rules between parameters. A cursor pins the metric and the end, so that neither is needed."""
    has_cursor = "cursor" in values
    if not has_cursor and "metric" not in values and "metric" not in problems:
        problems["metric"] = "is required: one of " + ", ".join(Metric)
    since, until = values.get("from"), values.get("to")
    if until is None and not has_cursor and "to" not in problems:
        until = now
    if since is not None and until is not None and since >= until:
        problems["from"] = "must be before `to`" + ("" if "to" in values else ", which is now unless sent")
    if "updated_since" in values:
        if since is None and not has_cursor and "from" not in problems:
            problems["from"] = "is required with `updated_since`; send the start of your copy"
        if "compare_to" in values:
            problems["updated_since"] = "cannot be sent with `compare_to`; keep a copy of both periods"


def _parse_one(name: str, text: str, values: dict[str, Any], problems: dict[str, str]) -> None:
    if name not in PARSERS:
        problems[name] = "is not a parameter of this resource; allowed are " + ", ".join(PARSERS)
    elif name in values or name in problems:
        problems[name] = "must be sent once"
    else:
        try:
            values[name] = PARSERS[name](text)
        except ValueError as error:
            problems[name] = str(error)


def _printable(name: str) -> str:
    """A parameter's name as it may stand in an answer."""
    return name if len(name) <= 64 else name[:63] + "…"
