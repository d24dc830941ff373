"""``make load``: a real broker with SASL_SSL, ClickHouse over HTTP, two workers and the API, under steady load.

Nothing may be lost or doubled: at the end every row of every rollup is compared with a recount of what was sent; of
days those that are over, since some events are dated days back.

The first third is at the full rate. Then the load is eased so that processors have something to spare, and in the last
third strangers attack the API: paying clients' 99th percentile may be twice that of the third before. Were all
processors busy, it would tell of the strangers' share of them and of no limit of ours. The API's memory stays below its
limit throughout.

Exit code 1 where anything of that is not so, where there was nothing to compare, or where a request failed.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from pathlib import Path

from confluent_kafka import Producer

from tests.load.apart import Apart
from tests.load.clients import ask
from tests.load.strangers import Deeds, attack
from tests.load.traffic import Traffic
from tests.load.verdict import (
    GRAIN_MINUTES,
    Compared,
    Endured,
    Rows,
    compare,
    sample_table,
    verdict_table,
    without_groups,
)
from tests.load.watching import Watching
from tests.support.certificates import Authority
from tests.support.secured import PASSWORDS, SecuredBroker
from tests.support.system import System
from tests.support.usage import cpu_seconds, peak_mib

LATENESS_SECONDS = 5
ASKING_ORGS = 10
EASED = 8
"""So many times less load while quiet clients are compared with those beside strangers."""


def found_rows(system: System, grain: str) -> tuple[Rows, Rows]:
    """Every row of a rollup: its totals, and its groups."""
    bucket = "org_id, intDiv(toUnixTimestamp(bucket), 60)"
    totals = system.query(
        f"SELECT {bucket}, sent, delivered, failed, toInt64(cost_cents * 1000000) FROM rollup_{grain} FINAL"
    )
    groups = system.query(
        f"SELECT {bucket}, groups.channel, groups.error_code, groups.sent, groups.delivered, groups.failed, "
        f"toInt64(groups.cost_cents * 1000000) FROM rollup_{grain} FINAL ARRAY JOIN groups"
    )
    return (
        {(org, minute): numbers for org, minute, *numbers in totals},
        {(org, minute, channel, code): numbers for org, minute, channel, code, *numbers in groups},
    )


def compared(system: System, traffic: Traffic) -> list[Compared]:
    """Facts, dead letters, every grain and its groups, against what was sent."""
    ((facts, ids),) = system.query("SELECT count(), uniqExact(org_id, event_id) FROM facts FINAL")
    ((dead,),) = system.query("SELECT count() FROM dead_letters FINAL")
    missing = traffic.broken - dead
    as_of_minutes = system.as_of_ms() // 60_000
    lines = [
        Compared("facts", facts, traffic.events, max(0, traffic.events - ids), facts - ids),
        Compared("dead letters", dead, traffic.broken, max(0, missing), max(0, -missing)),
    ]
    for grain in GRAIN_MINUTES:
        totals, groups = found_rows(system, grain)
        lines += [
            compare(grain, grain, without_groups(traffic.expected), totals, as_of_minutes),
            compare(f"{grain}, groups", grain, traffic.expected, groups, as_of_minutes),
        ]
    return lines


def secured_system(directory: Path) -> System:
    """Kafka behind SASL_SSL with ACLs, ClickHouse behind HTTP."""
    authority = Authority(directory / "ca")
    kafka = SecuredBroker(directory / "kafka", authority)
    return System(
        directory,
        8,
        broker=kafka.broker,
        kafka_bootstrap=kafka.sasl,
        kafka_security_protocol="SASL_SSL",
        kafka_ssl_cafile=str(authority.cafile),
        kafka_sasl_username="operator",
        kafka_sasl_password=PASSWORDS["operator"],
        lateness_seconds=str(LATENESS_SECONDS),
    )


def cpu_used(system: System) -> dict[str, float]:
    """Seconds of a processor that each process has used so far; what sends events and watches is this one."""
    used = {process.name: cpu_seconds(process.pid) for process in system.processes if process.is_alive}
    return {**used, "Kafka": cpu_seconds(system.broker.pid()), "events and watching": time.process_time()}


def run(system: System, seconds: float, rate: int, requests: float) -> int:
    """Load the system and say how it did. Returns the exit code."""
    scram = {"kafka_sasl_username": "worker", "kafka_sasl_password": PASSWORDS["worker"]}
    workers = [system.start_worker(f"worker-{n}", **scram) for n in range(2)]
    url = system.start_api()
    keys = {}
    for org in (f"org-{n}" for n in range(ASKING_ORGS)):
        system.run("orgs", "set", org, "--tier", "scale")
        keys[org] = system.run("keys", "create", org).strip()
    traffic, strangers = Traffic(_producer(system)), Apart(attack, url, Deeds())
    rates, eased = (rate, rate // EASED, rate // EASED), requests / EASED
    full, quiet, beside = phases = [Apart(ask, url, keys, asked) for asked in (requests, eased, eased)]
    others: tuple[AbstractContextManager[object], ...] = (nullcontext(), nullcontext(), strangers)
    began = time.monotonic()
    with Watching(system, workers) as watching:
        used = [cpu_used(system)]
        for asking, per_second, beside_them in zip(phases, rates, others, strict=True):
            with beside_them, asking:
                traffic.run(seconds / len(phases), per_second)
            used.append(cpu_used(system))
        sent_in = time.monotonic() - began
    cpu = [{name: after[name] - before[name] for name in after} for before, after in pairwise(used)]
    for spent, phase in zip(cpu, phases, strict=True):
        spent["clients"] = phase.result.cpu_seconds
    cpu[-1]["strangers"] = strangers.result.cpu_seconds
    ended_ms = time.time_ns() // 1_000_000
    system.wait_until_done(300)
    settled_in = time.monotonic() - began - sent_in
    system.wait_for_as_of(ended_ms, 300)
    statuses = sum((phase.result.statuses for phase in phases), Counter[int]())
    api = next(process for process in system.processes if process.name == "api")
    endured = Endured(
        quiet.result.milliseconds, beside.result.milliseconds, peak_mib(api.pid), strangers.result.by_name()
    )
    print(
        f"{traffic.events:,} events in {sent_in:.0f} s, {rate:,}/s and then {rate // EASED:,}/s, as {traffic.records:,}"
    )
    print(f"records, some twice, late or broken; {traffic.failed} not acknowledged")
    print(f"all committed {settled_in:.1f} s after the last event; lateness is {LATENESS_SECONDS} s")
    print(f"{statuses.total():,} requests, with statuses {dict(statuses)}")
    print("strangers: " + ", ".join(f"{times:,} {deed}" for deed, times in endured.deeds.items()))
    for name, spent in zip(("full", "eased", "beside strangers"), cpu, strict=True):
        whole = {**spent, "all": sum(spent.values())}
        shares = ", ".join(f"{process} {busy * len(phases) / seconds:.0%}" for process, busy in whole.items())
        print(f"shares of a core, {name}: {shares}")
    print(f"a worker takes at most {max(peak_mib(worker.pid) for worker in workers):.0f} MiB,", end=" ")
    print(f"the API {endured.api_peak_mib:.0f} MiB;", end=" ")
    print(f"p99 beside strangers is {endured.times_slower:.2f} times that without\n")
    waits = {
        "request, ms": full.result.milliseconds,
        "eased, ms": endured.quiet,
        "beside strangers, ms": endured.beside,
    }
    print(sample_table({**watching.samples, **waits}), end="\n\n")
    lines = compared(system, traffic)
    print(verdict_table(lines), end="\n\n")
    wrong = [f"{line.what}: something is wrong, or there was nothing to compare" for line in lines if not line.is_right]
    wrong += ["requests failed"] if set(statuses) - {200} else []
    wrong += ["records were not acknowledged"] if traffic.failed else []
    wrong += endured.problems()
    print("\n".join(wrong) or "nothing lost, nothing doubled, and nobody who pays felt the strangers")
    return 1 if wrong else 0


def _producer(system: System) -> Producer:
    environment = {name.removeprefix("MSGMETRICS_"): value for name, value in system.environment.items()}
    return system.producer(
        **{
            "bootstrap.servers": environment["KAFKA_BOOTSTRAP"],
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": environment["KAFKA_SSL_CAFILE"],
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "operator",
            "sasl.password": PASSWORDS["operator"],
            "compression.type": "lz4",
            "enable.idempotence": True,
            "delivery.report.only.error": True,
        }
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=int, default=20_000, help="events a second")
    parser.add_argument("--requests", type=float, default=50, help="requests a second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, secured_system(Path(directory)) as system:
        return run(system, arguments.seconds, arguments.rate, arguments.requests)


if __name__ == "__main__":
    sys.exit(main())
