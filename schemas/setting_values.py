"""Values of settings: each parser takes the text of a variable, and raises ValueError with what is allowed."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from schemas.endpoint import split_url

TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
"""A name that Kafka takes for a topic."""


def text(raw: str) -> str:
    """Any text but none."""
    if not raw:
        raise ValueError("must not be empty")
    return raw


def file(raw: str) -> str:
    """The path of a file, or none."""
    if raw and not (Path(raw).is_file() and os.access(raw, os.R_OK)):
        raise ValueError("must name a file that this process may read")
    return raw


def cluster(raw: str) -> str:
    """The name of a ClickHouse cluster, or none."""
    if raw and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", raw) is None:
        raise ValueError("must be the name of a cluster, 1 to 64 of [A-Za-z0-9_]")
    return raw


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number in a range."""

    def parse(raw: str) -> int:
        if not (raw.isascii() and raw.isdigit() and len(raw) < 12 and low <= int(raw) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(raw)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A number of seconds in a range."""

    def parse(raw: str) -> float:
        try:
            value = float(raw) if raw.isascii() and "_" not in raw else -1.0
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return value

    return parse


def one_of(*choices: str) -> Callable[[str], str]:
    """One of some words."""

    def parse(raw: str) -> str:
        if raw not in choices:
            raise ValueError("must be one of " + ", ".join(c or "(empty)" for c in choices))
        return raw

    return parse


def clickhouse_url(raw: str) -> str:
    """A URL of ClickHouse."""
    split_url(raw)
    return raw


def topics(raw: str) -> tuple[str, ...]:
    """Names of topics, separated by commas."""
    topics = tuple(part.strip() for part in raw.split(","))
    if not all(TOPIC.fullmatch(topic) and topic not in (".", "..") for topic in topics):
        raise ValueError("must be names of topics, 1 to 249 of [A-Za-z0-9._-], separated by commas")
    if len(set(topics)) < len(topics):
        raise ValueError("must name each topic once")
    return topics


def origins(raw: str) -> tuple[str, ...]:
    """Origins of web pages, separated by commas."""
    origins = tuple(part.strip() for part in raw.split(",") if part.strip())
    if any(urlsplit(o).scheme not in ("http", "https") or not urlsplit(o).hostname for o in origins):
        raise ValueError("must be origins like https://app.example.com, separated by commas")
    return origins
