"""Workers come and go under load: the group settles at once, and goes on with what it has."""

import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

from tests.support.ledger import Ledger
from tests.support.places import TOPIC
from tests.support.recount import check_everything
from tests.support.system import Process, System, require_kafka, wait_until

STARTS_A_CHANGE = 3
"""A worker may begin again this often for one change of the group; without end it is a storm."""


def starts(worker: Process) -> int:
    """How often the worker has begun to read its partitions."""
    return worker.log.read_text().count('"reading {')


def test_a_dead_worker_and_a_new_one_cost_a_few_rebalances_and_no_storm(tmp_path: Path) -> None:
    require_kafka()
    with System(
        tmp_path, lateness_seconds="2", kafka_session_timeout_seconds="6", kafka_heartbeat_seconds="2"
    ) as system:
        ledger, done = Ledger(seed=21), threading.Event()

        def load() -> None:
            producer = system.producer()
            while not done.wait(0.05):
                now = datetime.now(UTC)
                for record in ledger.records(iter([now] * 40), now):
                    producer.produce(TOPIC, record.value, key=record.key)
                producer.poll(0)
            assert producer.flush(60) == 0

        loading = threading.Thread(target=load)
        loading.start()
        try:
            workers = [system.start_worker(f"worker-{n}") for n in range(3)]
            wait_until("all to read", lambda: all(starts(worker) for worker in workers), 30)
            wait_until("facts", lambda: system.query("SELECT count() FROM facts")[0][0] > 2000, 30)
            workers[0].end(signal.SIGKILL)
            workers[0] = system.start_worker("worker-3")
            wait_until("the new one to read", lambda: starts(workers[0]), 30)
        finally:
            done.set()
            loading.join()
        check_everything(system, ledger, datetime.now(UTC))
        changes = 4  # the three that joined, less the first; one that died; one more that joined
        assert max(map(starts, workers)) <= STARTS_A_CHANGE * changes, list(map(starts, workers))
        assert [worker.end() for worker in workers] == [0, 0, 0]
