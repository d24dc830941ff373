"""What a worker refuses to begin with."""

import pytest

from pipeline.errors import NotMigrated, SinkUnavailable, WrongClock
from pipeline.worker import opening
from pipeline.worker.worker import Worker
from schemas.instant import wall_clock_ms
from schemas.settings import PREFIX, read_settings


def worker_on(url: str) -> Worker:
    return Worker(read_settings({PREFIX + "CLICKHOUSE_URL": url}))


def test_a_clock_that_agrees_is_accepted(url: str) -> None:
    begun = worker_on(url)
    begun._open_store("cluster")
    assert begun.operations.stored()["problem"] is None, "its store answers"


@pytest.mark.parametrize("skew_ms", [-3000, 3000])
def test_a_clock_more_than_a_second_off_is_refused(url: str, skew_ms: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "wall_clock_ms", lambda: wall_clock_ms() + skew_ms)
    with pytest.raises(WrongClock, match="synchronise"):
        worker_on(url)._open_store("cluster")


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
