"""What a worker waits for before it begins to read."""

import pytest

from pipeline.clickhouse import store
from pipeline.clock import running_ms, this_moment
from pipeline.core.clocks import Moment
from pipeline.errors import NotMigrated, SinkUnavailable
from pipeline.worker.worker import Worker
from schemas.settings import PREFIX, read_settings


def worker_on(url: str) -> Worker:
    return Worker(read_settings({PREFIX + "CLICKHOUSE_URL": url}))


def test_a_clock_that_agrees_is_accepted(url: str) -> None:
    begun = worker_on(url)
    begun._open_store("cluster")
    assert begun.operations.stored()["problem"] is None, "its store answers"
    assert not begun.seen.is_clock_in_doubt


@pytest.mark.parametrize("set_by_ms", [-3000, 3000])
def test_a_clock_more_than_a_second_off_makes_it_wait(
    url: str, set_by_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong() -> Moment:
        return Moment((now := this_moment()).wall_ms + set_by_ms, now.boot_ms)

    monkeypatch.setattr(store, "this_moment", wrong)
    begun = worker_on(url)
    begun._open_store("cluster")
    assert begun.seen.is_clock_in_doubt
    assert "synchronise both" in begun.health.reasons(running_ms())[0]


def test_a_database_that_is_not_migrated_is_waited_for_and_said_to_be(empty_url: str) -> None:
    with pytest.raises(NotMigrated, match="run `msgmetrics migrate`"):
        worker_on(empty_url)._open_store("cluster")


def test_an_absent_clickhouse_is_waited_for() -> None:
    with pytest.raises(SinkUnavailable):
        worker_on("http://127.0.0.1:9/default")._open_store("cluster")


def test_a_worker_reports_its_consumer_group_and_what_waits(url: str) -> None:
    begun = Worker(read_settings({PREFIX + "CLICKHOUSE_URL": url, PREFIX + "KAFKA_GROUP": "a-group"}))
    begun._open_store("cluster")
    begun._report({}, {}, 7)
    asked = "SELECT group, pending_recomputes FROM worker_status"
    assert begun._store.rows("looking", asked) == [("a-group", 7)]
