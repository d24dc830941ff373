"""The list of faults: what each does, what must come of it, and the test that runs it. The table in README.md is
generated from this list, and a test holds both together."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from pipeline.core.clocks import STEP_HOLD_MS
from schemas.grain import MS_PER_SECOND
from tests.faults.proxy import Trick
from tests.faults.rig import SESSION_SECONDS, Rig, Undo

CHAOS = "tests/faults/test_chaos.py::test_a_short_chaos_leaves_no_trace_in_the_numbers"
RECORDS = "tests/faults/test_records.py::test_every_odd_record_and_clock_comes_out_as_the_contract_says"
LOG = "tests/integration/test_log.py"
REPLAY = "tests/integration/test_replay.py"
UNREADABLE = "tests/integration/test_unreadable.py"
BATCHES = "tests/unit/pipeline/kafka/test_batches.py"
SECURED = "tests/integration/test_secured.py"
TIMES = "tests/unit/pipeline/core/test_record_times.py"
UPGRADED = "tests/contract/test_upgraded_data.py"
READINESS = "tests/faults/test_readiness.py"
KEPT_KEYS = (
    "tests/contract/test_kept_keys.py"
    "::test_late_events_count_though_a_recompute_was_refused_for_longer_than_its_keys_are_kept"
)
TOPICS = "tests/integration/test_topics.py::test_topics_come_and_go_while_it_runs_and_every_number_stays_exact"
FRAMED = "tests/integration/test_schema_registry.py"
CLOCKS = "tests/integration/test_wrong_clocks.py"


class Target(StrEnum):
    """What breaks. Two faults of one target never overlap in a chaos run, those of different ones do."""

    KAFKA = "Kafka"
    CLICKHOUSE = "ClickHouse"
    WORKER = "worker"
    CLOCK = "clock"
    REGISTRY = "registry"
    RECORD = "record"


Inject = Callable[[Rig, random.Random], Undo]


@dataclass(frozen=True)
class Fault:
    """One thing that can go wrong.

    ``inject`` does it to a rig and returns what undoes it; ``seconds`` is how long it is left so (shortest, longest).
    None: it is in the load all along, or has a test of its own, and no schedule draws it. ``felt_seconds`` is for how
    long the product waits by design after the end of it.
    """

    name: str
    target: Target
    does: str
    outcome: str
    how: str
    tests: tuple[str, ...]
    inject: Inject | None = None
    seconds: tuple[float, float] = (0, 0)
    felt_seconds: float = 0


def _refuse(rig: Rig, pick: random.Random) -> Undo:
    rig.proxy.play(Trick.REFUSE, nth=pick.randint(1, 12), times=pick.randint(1, 4))
    return rig.proxy.calm


def _cut(rig: Rig, pick: random.Random) -> Undo:
    rig.proxy.play(Trick.CUT, nth=pick.randint(1, 12), times=pick.randint(1, 4))
    return rig.proxy.calm


NO_TRACE = "no trace in any number; the workers go on by themselves"
LONGER = (SESSION_SECONDS + 2, SESSION_SECONDS + 8)

FAULTS: tuple[Fault, ...] = (
    Fault(
        "kafka-restart", Target.KAFKA, "the broker is stopped in order and started again at once", NO_TRACE,
        "SIGTERM to the broker, start", (CHAOS,), Rig.stop_kafka, (0, 1),
    ),
    Fault(
        "kafka-killed", Target.KAFKA, "the broker is killed and started again", NO_TRACE,
        "SIGKILL to the broker, start", (CHAOS,), Rig.kill_kafka, (0, 3),
    ),
    Fault(
        "kafka-away", Target.KAFKA, "the broker is gone for longer than the session timeout",
        NO_TRACE + "; not ready meanwhile, saying that Kafka does not answer",
        "SIGTERM to the broker, start later", (CHAOS, f"{READINESS}::test_kafka_away"), Rig.stop_kafka, LONGER,
    ),
    Fault(
        "partition-added", Target.KAFKA, "the topic gets another partition, into which events go at once",
        "`as_of` waits for the new partition; every number exact", "the admin client; stays",
        (CHAOS, f"{LOG}::test_transactions_codecs_and_a_partition_that_appears_later"), Rig.add_partition,
    ),
    Fault(
        "log-truncated-behind", Target.KAFKA, "retention deletes records that were committed", NO_TRACE,
        "delete_records up to half the committed offset; stays", (CHAOS,), Rig.truncate_what_is_committed,
    ),
    Fault(
        "log-truncated-ahead", Target.KAFKA, "retention deletes records that nobody has read",
        "its partition waits and names the missing offsets; the others go on; `skip` accepts the loss",
        "delete_records beyond the committed offset; stays",
        (f"{UNREADABLE}::test_records_that_are_gone_hold_their_partition_alone_until_the_loss_is_accepted",),
    ),
    Fault(
        "batch-damaged", Target.KAFKA, "a bit of a segment flips on the broker's disk",
        "its partition waits and names the batch; the others go on; `skip` accepts the loss", "the segment's file",
        (f"{UNREADABLE}::test_a_damaged_batch_holds_its_partition_alone_until_its_loss_is_accepted",),
    ),
    Fault(
        "leader-missing", Target.KAFKA, "a partition has no leader, also at a worker's start",
        "it waits, saying so; the others go on; it goes on by itself", "one of the broker's two disks fails",
        (CHAOS, f"{UNREADABLE}::test_a_partition_without_a_leader_holds_nothing_but_itself"), Rig.fail_disk, (20, 60),
    ),
    Fault(
        "right-taken", Target.KAFKA, "a worker's rights to the topic are taken away while it runs",
        "its partitions wait and name the right; they go on by themselves once it is granted", "the admin client",
        (f"{SECURED}::test_a_right_that_is_taken_away_while_a_worker_runs_is_waited_for",),
    ),
    Fault(
        "topic-missing", Target.KAFKA, "the topic does not exist, and the broker makes what a client asks for",
        "no process of ours has it made; the worker waits, saying `msgmetrics migrate`, and then begins by itself",
        "a worker and commands before `migrate`",
        (f"{REPLAY}::test_a_worker_waits_for_migrate_and_no_command_but_that_makes_a_topic",),
    ),
    Fault(
        "topic-made-anew", Target.KAFKA, "the topic is deleted and made anew, and grows beyond the old one's end",
        "it is read from its beginning; nothing that is known of the old one hides a record or a dead letter",
        "a worker before and after", (f"{LOG}::test_a_topic_made_anew_is_known_by_its_id_however_long_it_has_grown",),
    ),
    Fault(
        "topic-silent", Target.KAFKA, "one of several topics has no event for a minute", "nothing waits for it",
        "nothing is sent to it", (TOPICS,),
    ),
    Fault(
        "topic-added", Target.WORKER, "a topic with a history is added to the workers' list, one after the other",
        "`as_of` stands still until it is read; then every number has it", "workers of two lists; one is killed",
        (TOPICS,),
    ),
    Fault(
        "topic-gone", Target.KAFKA, "a topic that was read is on nobody's list any more, and then deleted",
        "`as_of` waits for it until it is retired; made anew it is read", "the admin client; stays", (TOPICS,),
    ),
    Fault(
        "topic-compacted", Target.KAFKA, "the topic is compacted, which deletes events that nobody has read",
        "`doctor` fails and `migrate` refuses, with the remedy", "cleanup.policy=compact, alone and with delete",
        ("tests/integration/test_compose_engines.py"
         "::test_the_real_broker_starts_with_the_properties_and_makes_the_topic",),
    ),
    Fault(
        "migration-cut-off", Target.CLICKHOUSE, "`migrate` is ended while it moves rows to a table with another key",
        "no row is lost; the next `migrate` goes on; no command works on the database meanwhile",
        "it dies after each of its writes", (f"{UPGRADED}::test_interrupted_anywhere_it_goes_on",
        f"{UPGRADED}::test_nobody_works_on_a_database_whose_migration_has_not_ended"),
    ),
    Fault(
        "migration-beside-workers", Target.WORKER, "`migrate` needs a stop, and a worker of the version before runs",
        "refused while it reports; one that was cut off and comes back ends before it claims anything",
        "its reports; the number of a newer migration while a worker runs",
        (f"{UPGRADED}::test_a_worker_at_work_is_a_reason_not_to_begin",
         "tests/integration/test_upgrade.py"
         "::test_a_worker_waits_for_the_migration_and_ends_once_there_is_a_newer_one"),
    ),
    Fault(
        "transaction-aborted", Target.KAFKA, "a producer gives its transaction up, also as the last thing in the log",
        "its records count nowhere and hold nothing up",
        "a transactional producer that aborts, all through the load",
        (CHAOS, f"{LOG}::test_transactions_codecs_and_a_partition_that_appears_later"),
    ),
    Fault(
        "transaction-open", Target.KAFKA, "a transaction stays open", "`as_of` waits, and its events are not late",
        "a transactional producer that takes its time",
        (f"{LOG}::test_an_open_transaction_holds_as_of_and_its_events_are_never_late",),
    ),
    Fault(
        "clickhouse-killed", Target.CLICKHOUSE, "ClickHouse is killed and comes back later",
        NO_TRACE + "; the API answers 503 meanwhile", "SIGKILL, start on the same data", (CHAOS,),
        Rig.kill_clickhouse, (0, 10),
    ),
    Fault(
        "clickhouse-hung", Target.CLICKHOUSE, "ClickHouse takes connections and answers nothing",
        NO_TRACE + "; not ready meanwhile, saying for how long ClickHouse has not answered", "SIGSTOP, then SIGCONT",
        (CHAOS, f"{READINESS}::test_clickhouse_hung"), Rig.freeze_clickhouse, (2, 12),
    ),
    Fault(
        "clickhouse-refuses", Target.CLICKHOUSE, "the n-th insert is answered 500, without being done", NO_TRACE,
        "the proxy between worker and ClickHouse", (CHAOS,), _refuse, (2, 5),
    ),
    Fault(
        "clickhouse-cut", Target.CLICKHOUSE, "the connection is cut after the insert was done, before the answer",
        "the insert is repeated and counts once", "the proxy between worker and ClickHouse", (CHAOS,), _cut, (2, 5),
    ),
    Fault(
        "recompute-refused", Target.CLICKHOUSE,
        "recomputes of late events are refused for longer than the keys that were staged for them are kept",
        "they are staged again: every late event is in every grain",
        "the proxy refuses these statements alone; before it takes them again the keys are deleted",
        (CHAOS, KEPT_KEYS), Rig.refuse_recomputes, (6, 12),
    ),
    Fault(
        "worker-killed", Target.WORKER, "a worker is killed", "another takes over from what is durable",
        "SIGKILL, start a new one", (CHAOS,), Rig.kill_worker, (0, 4),
    ),
    Fault(
        "worker-stopped", Target.WORKER, "a worker is told to stop",
        "it flushes, commits, leaves the group and exits 0 within 10 s", "SIGTERM, start a new one", (CHAOS,),
        Rig.stop_worker, (0, 4),
    ),
    Fault(
        "worker-zombie", Target.WORKER, "a worker stands still for longer than the session timeout, then goes on",
        "its partitions move; what it still writes changes nothing; it joins again", "SIGSTOP, then SIGCONT",
        (CHAOS,), Rig.freeze_worker, LONGER,
    ),
    Fault(
        "worker-stalls", Target.WORKER, "a worker's partition stands still although Kafka and ClickHouse answer",
        "not ready within 15 s with partition and reason; it reads again, or exits non-zero within a minute",
        "the framework's flow is never resumed", (f"{READINESS}::test_a_partition_that_stands_still",),
    ),
    Fault(
        "worker-clock-set", Target.CLOCK, "a worker's clock is set, by an hour or by weeks, and set right again",
        NO_TRACE + "; `as_of` is never ahead of the time; what was judged by that clock is read again",
        "libfaketime; +-1 hour, +-20 days, +-40 days",
        (CHAOS, f"{CLOCKS}::test_numbers_stay_exact_and_nothing_gets_ahead_of_the_time"),
        Rig.set_clock, (1, 5), STEP_HOLD_MS / MS_PER_SECOND,
    ),
    Fault(
        "clock-ahead", Target.CLOCK, "a producer's clock is an hour ahead",
        "dead letters `future_timestamp`; no watermark moves", "records with such times", (RECORDS, CHAOS),
    ),
    Fault(
        "clocks-differ", Target.CLOCK, "a producer's clock is 40 minutes ahead, on a topic that keeps producers' times",
        "a replay reads every record of its span; an erasure leaves nothing that is stored",
        "records whose times stand in the log in any order",
        (f"{REPLAY}::test_clocks_that_differ_hide_no_record_of_the_span_from_the_real_broker",
         "tests/integration/test_repair.py"
         "::test_an_erasure_takes_what_a_clock_ahead_has_stamped_and_asks_before_it_reaches_far"),
    ),
    Fault(
        "clock-stamps", Target.CLOCK,
        "a producer stamps its records months in the past or the future, on a topic that keeps producers' times",
        "the event counts in its own minute, and no watermark gets ahead of it; only a stamp of more than five minutes "
        "before the event makes it a dead letter `future_timestamp`, which names the stamp",
        "records with any stamp",
        (f"{TIMES}::test_a_producers_stamp_of_the_past_or_the_future_decides_no_number",
         f"{TIMES}::test_no_timestamp_moves_a_watermark_ahead_of_event_or_clock"),
    ),
    Fault(
        "clock-behind", Target.CLOCK, "a producer's clock is a day behind",
        "its events are late: counted in closed buckets of the day before", "records with such times",
        (RECORDS, CHAOS),
    ),
    Fault(
        "registry-away", Target.REGISTRY, "the schema registry breaks off every connection",
        "only partitions that need a schema of it wait, saying so; no trace in any number", "one that the test plays",
        (CHAOS, f"{FRAMED}::test_a_registry_that_is_away_makes_only_the_partitions_wait_that_need_it"),
        Rig.silence_registry, (2, 12),
    ),
    Fault(
        "registry-lags", Target.REGISTRY, "the registry has a schema only after records that name it", NO_TRACE,
        "404 for 1.5 s, all through the load", (CHAOS,),
    ),
    Fault(
        "record-envelopes", Target.RECORD, "events in every envelope, the same event in several of them",
        "each counts once", "one drawn for each record", (CHAOS,),
    ),
    Fault(
        "record-broken", Target.RECORD, "every way to break the contract",
        "a dead letter each, with its reason and the original bytes", "one record of every kind", (RECORDS, CHAOS),
    ),
    Fault(
        "record-headers", Target.RECORD, "names of headers that are no UTF-8, in every codec",
        "the event counts; a dead letter keeps the bytes, and is sent back with them", "such records",
        (CHAOS, f"{UNREADABLE}::test_a_damaged_batch_holds_its_partition_alone_until_its_loss_is_accepted",),
    ),
    Fault(
        "record-unreadable", Target.RECORD, "any bytes where a record should be",
        "a dead letter `unreadable_record` with the bytes; the records around it count", "batches of any content",
        (f"{BATCHES}::test_for_any_content_reading_goes_on_behind_it_and_no_byte_is_lost",),
    ),
    Fault(
        "record-too-large", Target.RECORD, "a record of 64 KiB and one byte",
        "a dead letter `too_large`; one of exactly 64 KiB counts", "two such records", (RECORDS,),
    ),
    Fault(
        "record-tombstone", Target.RECORD, "a record without a value", "a dead letter `empty`", "such records",
        (RECORDS, CHAOS),
    ),
    Fault(
        "record-codecs", Target.RECORD, "every compression a producer can choose", "read like any other",
        "a producer each", (RECORDS, CHAOS, f"{LOG}::test_transactions_codecs_and_a_partition_that_appears_later"),
    ),
)  # fmt: skip

DRAWN = tuple(fault for fault in FAULTS if fault.inject is not None)
"""The faults that a chaos schedule is made of."""
