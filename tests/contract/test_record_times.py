"""Records with any timestamp at all go through the decoder into ClickHouse, are found there, and can be erased."""

import json
from collections.abc import Sequence

from deploy.cli.dead_letters import describe, listing
from deploy.cli.explain import explain_bucket, explain_event
from deploy.cli.letters import Filter, Letter, read_letters
from pipeline.clickhouse.store import Store
from pipeline.core.effects import EraseRows, InsertDeadLetters, InsertFacts
from pipeline.core.exact import LATEST_MS
from pipeline.core.flush import Batch, Chunk, Rules
from schemas.connection import connect
from schemas.grain import Grain
from schemas.instant import rfc3339
from tests.support.moments import at
from tests.support.places import P0, TOPIC
from tests.support.record import Record
from tests.support.stores import NOW

NOW_MS = NOW * 1000
MONTH_MS = 31 * Grain.DAY.milliseconds
RULES = Rules(lateness_ms=0, future_skew_ms=300_000)
NO_TIMES = (None, -1, -(2**63), NOW_MS * 1000, NOW_MS * 10**6, LATEST_MS, 2**63 - 1, 2**70)
TIMES = (0, 1, NOW_MS, NOW_MS + 40 * 60_000, LATEST_MS - 1)
BROKEN = b'{"event_id": "b", "org_id": "acme", "type": 7}'


def event(number: int, occurred_ms: int = NOW_MS) -> bytes:
    told = {"event_id": f"e-{number}", "type": "message.sent", "org_id": "acme", "channel": "sms"}
    return json.dumps({**told, "occurred_at": rfc3339(occurred_ms)}).encode()


def taken(url: str, records: Sequence[tuple[bytes, int | None]]) -> Store:
    """A store with what becomes of records, each given by value and timestamp, in one flush."""
    store, chunk = Store(url, "cluster", "worker", 30), Chunk()
    batch = [Record(offset, value, timestamp) for offset, (value, timestamp) in enumerate(records)]
    chunk.add(Batch(P0, 1, 0, len(batch), batch, 0), RULES, at(NOW_MS), 0, read_at=0.0)
    store.perform(InsertFacts(chunk.columns))
    store.perform(InsertDeadLetters(tuple(chunk.letters)))
    return store


def letters(store: Store) -> dict[int, Letter]:
    return {x.offset: x for x in read_letters(store, Filter())}


def said(lines: list[str]) -> str:
    return "\n".join(lines)


def test_dead_letters_of_any_timestamp_are_stored_listed_shown_and_erased(url: str) -> None:
    timestamps = (*NO_TIMES, *TIMES)
    store = taken(url, [(BROKEN, at) for at in timestamps])
    found = letters(store)
    assert [found[n].record_ms for n in range(len(timestamps))] == [0] * len(NO_TIMES) + list(TIMES)
    assert f"{len(timestamps):>8} invalid_field" in said(listing(store, Filter(), 1000))
    for offset, stamp in enumerate(timestamps):
        shown = said(describe(store, (P0, offset)))
        assert BROKEN.decode() in shown
        assert f"record time   {rfc3339(found[offset].record_ms) or 'none'}" in shown
        assert (f"timestamp {stamp} is not" in shown) is (stamp in NO_TIMES and stamp not in (None, -1))
    assert "(record time none)" in said(explain_event(store, "acme", "b", [TOPIC]))
    store.perform(EraseRows("acme", NOW_MS))
    assert {x.record_ms for x in letters(store).values()} == {at for at in TIMES if at > NOW_MS}


def test_one_flush_takes_dead_letters_of_more_months_than_an_insert_may_by_default(url: str) -> None:
    months = range(0, 110 * MONTH_MS, MONTH_MS)
    assert len(letters(taken(url, [(BROKEN, at) for at in months]))) == len(months) > 100


def test_facts_of_any_timestamp_are_stored_explained_and_erased(url: str) -> None:
    early, late = NOW_MS - 60_000, NOW_MS + 60_000
    records = [(event(n, occurred_ms), at) for n, at in enumerate(NO_TIMES) for occurred_ms in (early, late)]
    store = taken(url, [*records, (event(100), NOW_MS + 40 * 60_000), (event(101), LATEST_MS - 1)])
    assert letters(store) == {}
    rows = connect(url).query("SELECT toUnixTimestamp64Milli(record_at), count() FROM facts GROUP BY 1 ORDER BY 1")
    expected = [(early, len(NO_TIMES)), (late, len(NO_TIMES)), (NOW_MS + 40 * 60_000, 1), (LATEST_MS - 1, 1)]
    assert rows.result_rows == expected
    for number in (*range(len(NO_TIMES)), 100, 101):
        assert said(explain_event(store, "acme", f"e-{number}", [TOPIC])).startswith("counted: message.sent at ")
    assert "2100-12-31T23:59:59.999Z" in said(explain_bucket(store, "acme", NOW, Grain.MINUTE, ""))
    store.perform(EraseRows("acme", NOW_MS))
    left = connect(url).query("SELECT toUnixTimestamp64Milli(record_at), count() FROM facts GROUP BY 1 ORDER BY 1")
    assert left.result_rows == expected[1:], "an event without a record's time is erased by its own"
