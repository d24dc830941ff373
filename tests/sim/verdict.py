"""The naive recount of a simulated world."""

from collections.abc import Sequence, Set
from datetime import UTC, datetime

from pipeline.core.place import Place
from schemas.grain import Grain
from tests.support.fake_rows import Fact
from tests.support.fake_store import FakeStore


def verdict(truth: Sequence[Fact], broken: Set[tuple[Place, int, int]], store: FakeStore) -> str | None:
    """What is stored wrong, or None: facts, dead letters (by their places), and every bucket of every grain."""
    if set(store.facts.values()) != set(truth):
        return "facts differ"
    if set(store.letters) != broken:
        return "dead letters differ"
    for grain, pattern in {Grain.MINUTE: "%F %H:%M", Grain.HOUR: "%F %H", Grain.DAY: "%F"}.items():
        expected: dict[tuple[str, str], set[Fact]] = {}
        for fact in truth:
            name = datetime.fromtimestamp(fact[6] / 1000, UTC).strftime(pattern)
            expected.setdefault((fact[0], name), set()).add(fact)
        found = {
            (org, datetime.fromtimestamp(bucket, UTC).strftime(pattern)): set(row.facts)
            for (org, bucket), row in store.rollups[grain].items()
            if row.facts
        }
        if found != expected:
            return f"{grain} rollups differ"
    return None
