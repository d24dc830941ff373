"""Two shards, the second of them down: an organization is asked for on its own alone, and nothing is half done."""

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from api.errors import Unavailable
from api.params import Metric
from api.reader import Reader
from api.window import Window
from pipeline.clickhouse.client import sql
from pipeline.clickhouse.store import Store
from pipeline.core import effects as e
from pipeline.core.records import Columns
from pipeline.errors import SinkUnavailable
from schemas.connection import connect
from schemas.endpoint import Endpoint
from schemas.grain import Grain
from tests.support.endpoint import store as store_row
from tests.support.places import P0

OF_SHARD = "SELECT toString(number) FROM numbers(100) WHERE cityHash64(toString(number)) % 2 = {shard:UInt8} LIMIT 1"
BATCH = "0f2f3c1e-0000-4000-8000-000000000001"
DENIED, UNREACHABLE = 288, 279


@pytest.fixture
def orgs(pair: Endpoint) -> tuple[str, str]:
    """An organization of the first shard and one of the second."""
    client = connect(pair)
    here, there = (str(client.query(OF_SHARD, parameters={"shard": n}).result_rows[0][0]) for n in (0, 1))
    return here, there


def facts(org: str, minute: int) -> Columns:
    return Columns(
        org_id=[org], event_id=["1"], type=[1], channel=["sms"], error_code=[""], cost_micros=[1],
        occurred_ms=[minute * 60_000], record_ms=[minute * 60_000], place=[P0], offset=[0],
    )  # fmt: skip


def test_an_event_is_acknowledged_by_its_own_shard_or_not_at_all(pair: Endpoint, orgs: tuple[str, str]) -> None:
    here, there = orgs
    store, minute = Store(pair, "cluster", "worker", 10), _recent_minute(pair)
    store.perform(e.InsertFacts(facts(here, minute)))
    with pytest.raises(SinkUnavailable):
        store.perform(e.InsertFacts(facts(there, minute)))
    stored = connect(pair.url).query("SELECT org_id FROM facts_local").result_rows
    assert stored == [(here,)], "nothing of the other shard's may wait here in a queue, or land here"


def test_a_bucket_is_not_closed_from_half_of_the_shards(pair: Endpoint) -> None:
    store, minute = Store(pair, "cluster", "worker", 10), _recent_minute(pair)
    for grain in Grain:
        with pytest.raises(SinkUnavailable):
            store.perform(e.CloseBuckets(grain, grain.floor(minute * 60), grain.floor(minute * 60) + grain.seconds, 0))
    with pytest.raises(SinkUnavailable):
        store.perform(e.RecomputeLate(Grain.HOUR, BATCH, 0, 3600, 1, 0))


def test_the_keys_of_a_recompute_are_looked_up_on_each_shard(pair: Endpoint) -> None:
    """Without the setting the engine refuses a sub-select over shards on each shard; with it, it finds one down."""
    parameters = {"start": 0, "end": 60, "generation": 0, "late": 1, "batch": BATCH, "max_pairs": 1, "other": "x"}
    parameters |= {"rebuild": 0, "org": ""}
    for target, code in ((pair, UNREACHABLE), (pair.url, DENIED)):
        with pytest.raises(DatabaseError) as error:
            connect(target).command(sql("rollup/minute"), parameters=parameters)
        assert error.value.code == code


def test_an_organization_is_read_from_its_own_shard_alone(pair: Endpoint, orgs: tuple[str, str]) -> None:
    here, there = orgs
    store_row(connect(pair), here, "2026-05-05 08:00:00", 5, "1")
    window = Window(Grain.HOUR, 1_777_968_000, 1_777_982_400)
    reader = Reader(pair)
    assert list(reader.values(here, Metric.SENT, window, None).values()) == [5]
    with pytest.raises(Unavailable):
        reader.values(there, Metric.SENT, window, None)


def _recent_minute(pair: Endpoint) -> int:
    return int(connect(pair.url).query("SELECT intDiv(toUnixTimestamp(now()), 60) - 5").result_rows[0][0])
