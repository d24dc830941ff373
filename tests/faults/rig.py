"""What faults are done to: a running system with the proxy before ClickHouse, and workers in numbered slots."""

import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from pipeline.core.place import Place
from pipeline.errors import EXIT_UNREACHABLE
from tests.faults.proxy import FaultyProxy
from tests.faults.wrapping import Wrapping
from tests.support.faketime import MISSING, Clock, has_faketime
from tests.support.kafka_broker import TWO_DISKS, KafkaBroker
from tests.support.system import ROOT, Process, System, wait_until
from tests.support.system_log import COORDINATOR_MOVES, GROUP

LATENESS_SECONDS = 2
SESSION_SECONDS = 6
LEAVE_SECONDS = 10
MAX_PARTITIONS = 8
HOUR, DAY = 3600, 86_400
CLOCK_STEPS = (-HOUR, HOUR, -20 * DAY, 20 * DAY, -40 * DAY, 40 * DAY)
SETTINGS: dict[str, Any] = {
    "lateness_seconds": str(LATENESS_SECONDS),
    "late_pause_seconds": "10",
    "kafka_session_timeout_seconds": str(SESSION_SECONDS),
    "kafka_heartbeat_seconds": "1",
    "clickhouse_insert_timeout_seconds": "5",
    "log_level": "debug",
}

TOPICS = ("message-sent", "message-delivered", "message-failed", "message-charged")
Undo = Callable[[], None]


def nothing() -> None:
    """Undoes a fault that undoes itself."""


class Rig:
    """A system with ``workers`` workers. ``problems`` are sentences about what a worker must not do."""

    def __init__(self, directory: Path, workers: int, say: Callable[[str], None] = lambda _: None) -> None:
        self.say = say
        self.problems: list[str] = []
        broker = KafkaBroker(directory / "kafka", ROOT / ".cache", TWO_DISKS).start()
        self.wrapping = Wrapping(seed=workers)
        self.wrapping.registry.__enter__()
        settings = SETTINGS | {"schema_registry_url": self.wrapping.registry.url}
        self.system = System(directory, partitions=2, broker=broker, topics=TOPICS, **settings)
        self.proxy = FaultyProxy(self.system.clickhouse_port)
        self._started = 0
        self._absent: set[int] = set()
        self._clocks = [Clock(directory / f"clock-{slot}", 0) for slot in range(workers)] if has_faketime() else []
        self.workers = [self._start_worker(slot) for slot in range(workers)]

    def close(self) -> None:
        self.system.__exit__(None, None, None)
        self.proxy.stop()
        self.wrapping.registry.__exit__(None, None, None)

    def _start_worker(self, slot: int) -> Process:
        self._started += 1
        system = self._clocks[slot].over(self.system) if self._clocks else self.system
        return system.start_worker(f"worker-{slot}-{self._started}", clickhouse_url=self.proxy.url)

    def supervise(self) -> None:
        """Start again, as any supervisor would, a worker that has ended by itself.

        Only one that was about to start, while Kafka was away, may have done so.
        """
        for slot, worker in enumerate(self.workers):
            if slot not in self._absent and not worker.is_alive:
                sentence = f"{worker.name} ended by itself with exit code {worker.exit_code}"
                self.say(sentence)
                if worker.exit_code != EXIT_UNREACHABLE or "is running" in worker.log.read_text():
                    self.problems.append(sentence)
                self.workers[slot] = self._start_worker(slot)

    # -- Kafka --------------------------------------------------------------------------------------------------

    def stop_kafka(self, _: random.Random) -> Undo:
        self.system.broker.stop()
        return lambda: self._start_kafka()

    def kill_kafka(self, _: random.Random) -> Undo:
        self.system.broker.kill()
        return lambda: self._start_kafka()

    def fail_disk(self, _: random.Random) -> Undo:
        return self.system.broker.fail_disk()

    def _start_kafka(self) -> None:
        self.system.broker.start()

    def add_partition(self, pick: random.Random) -> Undo:
        partitions, topic = self.system.partitions, pick.choice(list(self.system.partitions))
        if partitions[topic] < MAX_PARTITIONS:
            partitions[topic] += 1
            self.system.broker.add_partitions(topic, partitions[topic])
        return nothing

    def truncate_what_is_committed(self, _: random.Random) -> Undo:
        """Delete from the log, as retention would, half of what has been committed."""
        committed = self.committed()
        cut = [TopicPartition(*place, offset // 2) for place, offset in committed.items() if offset > 1]
        admin = self.system.broker.admin()
        for future in admin.delete_records(cut, request_timeout=20).values() if cut else ():
            future.result(20)
        return nothing

    def committed(self) -> dict[Place, int]:
        """The group's committed offset per partition, once a broker that came back a moment ago has read them."""
        return dict(wait_until("the coordinator of the group", self._committed, 30)[0])

    def _committed(self) -> tuple[dict[Place, int]] | None:
        """None while the broker is not ready to say."""
        admin = self.system.broker.admin()
        request = ConsumerGroupTopicPartitions(GROUP, [TopicPartition(*place) for place in self.system.places()])
        (future,) = admin.list_consumer_group_offsets([request], request_timeout=20).values()
        try:
            found = future.result(20).topic_partitions
        except KafkaException as error:
            if error.args[0].code() in COORDINATOR_MOVES:
                return None
            raise
        return ({Place(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0},)

    # -- ClickHouse ---------------------------------------------------------------------------------------------

    def kill_clickhouse(self, _: random.Random) -> Undo:
        self.system.clickhouse.end(signal.SIGKILL)
        return self.system.start_clickhouse

    def freeze_clickhouse(self, _: random.Random) -> Undo:
        self.system.clickhouse.send(signal.SIGSTOP)
        return lambda: self.system.clickhouse.send(signal.SIGCONT)

    def refuse_recomputes(self, _: random.Random) -> Undo:
        self.proxy.refuse_late()
        return self._take_recomputes

    def _take_recomputes(self) -> None:
        """What waits to be recomputed was staged an hour ago, as it were."""
        self.system.database.command("TRUNCATE TABLE recompute_keys")
        self.proxy.calm()

    # -- the schema registry ------------------------------------------------------------------------------------

    def silence_registry(self, _: random.Random) -> Undo:
        self.wrapping.answers.is_away = True
        return lambda: setattr(self.wrapping.answers, "is_away", False)

    # -- workers ------------------------------------------------------------------------------------------------

    def kill_worker(self, pick: random.Random) -> Undo:
        slot = pick.randrange(len(self.workers))
        self._absent.add(slot)
        self.workers[slot].end(signal.SIGKILL)
        return lambda: self._replace(slot)

    def stop_worker(self, pick: random.Random) -> Undo:
        slot = pick.randrange(len(self.workers))
        worker, began = self.workers[slot], time.monotonic()
        self._absent.add(slot)
        code = worker.end(signal.SIGTERM, seconds=30)
        took = time.monotonic() - began
        barely_begun = code == -signal.SIGTERM and not worker.log.read_text()
        if (code and not barely_begun) or took > LEAVE_SECONDS:
            self.problems.append(f"{worker.name} left with exit code {code} after {took:.1f} s")
        return lambda: self._replace(slot)

    def freeze_worker(self, pick: random.Random) -> Undo:
        worker = self.workers[pick.randrange(len(self.workers))]
        worker.send(signal.SIGSTOP)
        return lambda: worker.send(signal.SIGCONT)

    def set_clock(self, pick: random.Random) -> Undo:
        """Set a slot's clock, whatever worker runs there. Where the library is missing no clock can be set."""
        if not self._clocks:
            self.say(MISSING)
            return nothing
        slot, by_seconds = pick.randrange(len(self._clocks)), pick.choice(CLOCK_STEPS)
        self.say(f"the clock of worker-{slot} is set by {by_seconds:+d} s")
        self._clocks[slot].set(by_seconds)
        return lambda: self._clocks[slot].set(0)

    def _replace(self, slot: int) -> None:
        self.workers[slot] = self._start_worker(slot)
        self._absent.discard(slot)
