"""Several topics on a real broker: one for each type of event, others that come with a history and go again."""

import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.background import Background
from tests.support.ledger import Ledger, Produced
from tests.support.recount import check_everything
from tests.support.system import Process, System, require_kafka, wait_until
from tests.support.watcher import Watcher

pytestmark = pytest.mark.timeout(400)

SENT, DELIVERED, FAILED, PARTNER = "message-sent", "message-delivered", "message-failed", "partner-events"
OURS = (SENT, DELIVERED, FAILED)
LATENESS_SECONDS, FRESH_SECONDS = 2, 8
SILENT_SECONDS = 60
RATE = 100
HISTORY = 20_000
STANDS_SECONDS = 3


def now() -> datetime:
    return datetime.now(UTC)


class Live(Background):
    """Events of the moment, each type into its topic. Those that failed are kept back: their topic is silent."""

    def __init__(self, system: System, ledger: Ledger) -> None:
        super().__init__()
        self._system, self._ledger = system, ledger
        self.held: list[Produced] = []

    def _run(self) -> None:
        producer = self._system.producer()
        while not self._stop.wait(0.1):
            at = now()
            for record in self._ledger.records(iter([at] * (RATE // 10)), at):
                topic = self._system.topic_of(record.value)
                topic = SENT if topic == PARTNER else topic  # charges: the partner's topic is not theirs
                if topic == FAILED:
                    self.held.append(record)
                else:
                    producer.produce(topic, record.value, key=record.key)
            producer.poll(0)
        assert producer.flush(60) == 0


def history(ledger: Ledger, count: int, end: datetime) -> Iterator[Produced]:
    """Events of two hours, in the order of their time."""
    return ledger.records((end - timedelta(seconds=7200 * (count - n) / count) for n in range(count)), end)


def publish(system: System, topic: str, records: Iterator[Produced]) -> None:
    producer = system.producer()
    for record in records:
        producer.produce(topic, record.value, key=record.key)
    assert producer.flush(60) == 0


def age_seconds(system: System) -> float:
    return now().timestamp() - system.as_of_ms() / 1000


def stands_still(system: System) -> bool:
    """Whether as_of stays where it is."""
    before = system.as_of_ms()
    threading.Event().wait(STANDS_SECONDS)
    return system.as_of_ms() == before


def is_named(worker: Process, *words: str) -> bool:
    return any(all(word in reason for word in words) for reason in worker.readiness()[1])


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    require_kafka()
    with System(
        tmp_path, 2, topics=OURS, lateness_seconds=str(LATENESS_SECONDS),
        kafka_session_timeout_seconds="6", kafka_heartbeat_seconds="1",
    ) as running:  # fmt: skip
        yield running


def listing(*topics: str) -> dict[str, str]:
    return {"kafka_topic": ",".join(topics)}


def test_topics_come_and_go_while_it_runs_and_every_number_stays_exact(system: System) -> None:
    url, ledger = system.start_api(), Ledger(seed=31)
    system.run("orgs", "set", "org-0", "--tier", "scale")
    key = system.run("keys", "create", "org-0").strip()
    workers = [system.start_worker(f"three-{n}") for n in range(2)]
    wait_until("as_of", lambda: system.as_of_ms() > 0, 60)

    # One topic for each type, of which one is silent for a minute: nothing waits for it.
    with Live(system, ledger) as live:
        began = now()
        with Watcher(url, key, began - timedelta(minutes=1)) as watcher:
            wait_until("a silent minute", lambda: now() > began + timedelta(seconds=SILENT_SECONDS), SILENT_SECONDS + 5)
            assert age_seconds(system) < FRESH_SECONDS
            assert [worker.readiness() for worker in workers] == [(200, [])] * 2
            wait_until("a minute that is closed", lambda: watcher.final_buckets > 1, 30)

        # Another one comes with a history: a rolling change of the list, under load, and a worker that dies in it.
        with Watcher(url, key, began) as adding:
            system.broker.create_topic(PARTNER, 4)
            publish(system, PARTNER, history(ledger_of_partner := Ledger(seed=32), HISTORY, now()))
            workers[0].end()
            workers[0] = system.start_worker("four-0", **listing(*OURS, PARTNER))
            wait_until("the history", lambda: facts_of(system, PARTNER) > 0, 60)
            workers[1].end(signal.SIGKILL)
            workers[1] = system.start_worker("four-1", **listing(*OURS, PARTNER))
            system.partitions[PARTNER] = 4
            wait_until("the history", lambda: not any(p.topic == PARTNER for p in system.unfinished()), 60)
    publish(system, FAILED, iter(live.held))
    watcher.check(ledger, "org-0")
    assert not [problem for problem in adding.problems if "went back" in problem], "old numbers may rise, nothing else"
    both = merged(ledger, ledger_of_partner)
    check_everything(system, both, now())

    with Watcher(url, key, now()) as watcher:
        goes_and_comes_again(system, both, workers, began)
        check_everything(system, both, now())
    watcher.check(both, "org-0")
    assert [worker.end() for worker in workers] == [0, 0]


def goes_and_comes_again(system: System, ledger: Ledger, workers: list[Process], began: datetime) -> None:
    """Nobody lists the partner's topic any more, and `as_of` waits for it until it is retired, deleted or not."""
    assert "take it off" in system.run("topics", "retire", PARTNER, code=4, stderr=True, **listing(*OURS, PARTNER))
    assert "being read by" in system.run("topics", "retire", PARTNER, code=4, stderr=True)
    for n, worker in enumerate(workers):
        assert worker.end() == 0
        workers[n] = system.start_worker(f"again-{n}")
    wait_until("a worker that waits", lambda: any(is_named(w, "held by", PARTNER) for w in workers), 60)
    assert stands_still(system)
    delete(system, PARTNER)
    del system.partitions[PARTNER]
    assert stands_still(system), "a topic that is gone cannot be told from one that is away"
    system.run("topics", "retire", PARTNER)
    wait_until("as_of", lambda: age_seconds(system) < FRESH_SECONDS, 30)
    publish(system, SENT, ledger_records(ledger, 50))
    check_everything(system, ledger, now())

    # It is made anew, with fewer partitions: whoever reads it takes the retirement back.
    system.broker.create_topic(PARTNER, 1)
    system.partitions[PARTNER] = 1
    publish(system, PARTNER, history(ledger, 500, began))
    for n, worker in enumerate(workers):
        assert worker.end() == 0
        workers[n] = system.start_worker(f"anew-{n}", **listing(*OURS, PARTNER))
    wait_until("the new one", lambda: not any(p.topic == PARTNER for p in system.unfinished()), 60)
    assert "retired" not in system.run("topics", "list")


def ledger_records(ledger: Ledger, count: int) -> Iterator[Produced]:
    return ledger.records(iter([now()] * count), now())


def merged(one: Ledger, other: Ledger) -> Ledger:
    """A ledger of what both have sent, that goes on with numbers of its own."""
    return Ledger(seed=33, events=one.events | other.events, dead=one.dead + other.dead)


def facts_of(system: System, topic: str) -> int:
    return int(system.query("SELECT count() FROM facts WHERE topic = {topic:String}", topic=topic)[0][0])


def delete(system: System, topic: str) -> None:
    admin = system.broker.admin()
    for future in admin.delete_topics([topic]).values():
        future.result(30)
    wait_until("the end of the topic", lambda: topic not in admin.list_topics(timeout=5).topics, 30)
