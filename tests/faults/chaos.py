"""``make chaos``: a schedule of faults drawn from a seed, over workers under load; then quiet, then the recount."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from schemas.tables import RESYNCS
from tests.faults.catalogue import DRAWN, Fault
from tests.faults.load import Load
from tests.faults.reader import Reader
from tests.faults.rig import Rig, Undo
from tests.support.recount import check_everything, check_places
from tests.support.system import System, wait_until

RATE = 600
READ_ORGS = ("org-0", "org-5")
GAP_SECONDS = (0.5, 6.0)
SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Planned:
    """A fault at a time (seconds from the start), left as it is for a while. ``seed`` decides its details."""

    at: float
    until: float
    fault: Fault
    seed: int

    def __str__(self) -> str:
        return f"{self.at:6.1f} s to {self.until:6.1f} s  {self.fault.name}"


def schedule(seed: int, seconds: float) -> list[Planned]:
    """The faults of a run. Faults overlap, but never two of one target.

    One that is felt for long comes first, and never near the end: the others go on meanwhile, and nobody waits for it.
    """
    pick, plan, at = random.Random(seed), list[Planned](), 0.0
    free = {fault.target: 0.0 for fault in DRAWN}
    while (at := at + pick.uniform(*GAP_SECONDS)) < seconds:
        possible = [f for f in DRAWN if free[f.target] <= at and at + f.felt_seconds <= seconds]
        if possible:
            fault = pick.choice(possible if plan else [f for f in possible if f.felt_seconds] or possible)
            until = at + pick.uniform(*fault.seconds)
            free[fault.target] = until + 1
            plan.append(Planned(at, until, fault, pick.randrange(1 << 30)))
    return plan


def play(rig: Rig, plan: list[Planned], say: Callable[[str], None]) -> None:
    """Inject and undo what is planned, in the order of time."""
    began, undo = time.monotonic(), dict[Planned, Undo]()
    steps = sorted([(p.at, 0, p) for p in plan] + [(p.until, 1, p) for p in plan], key=lambda step: step[:2])
    for at, is_end, planned in steps:
        time.sleep(max(0.0, at - (time.monotonic() - began)))
        rig.supervise()
        say(f"{time.monotonic() - began:6.1f} s  {'end of ' if is_end else ''}{planned.fault.name}")
        if is_end:
            undo.pop(planned)()
        else:
            assert planned.fault.inject is not None
            undo[planned] = planned.fault.inject(rig, random.Random(planned.seed))


def run(directory: Path, seed: int, seconds: float, say: Callable[[str], None]) -> str:
    """One run. Returns what it did in a sentence; raises AssertionError (or pytest's) when anything is wrong."""
    plan = schedule(seed, seconds)
    for planned in plan:
        say(f"planned {planned}")
    rig = Rig(directory, workers=2 + seed % 2, say=say)
    try:
        rig.system.database.command(f"TRUNCATE TABLE {RESYNCS}")  # the migration's has every bucket listed for minutes
        load, url = Load(rig.system, seed, RATE, rig.wrapping), rig.system.start_api()
        with Reader(url, make_keys(rig.system)) as reader:
            load.start()
            try:
                wait_until("the first numbers", lambda: reader.buckets_with_numbers > 0, 60)
                play(rig, plan, say)
            finally:
                load.stop()
            say("quiet")
            assert not load.problems, f"the load failed, which is no fault of the product: {load.problems[:5]}"
            rig.supervise()
            check_everything(rig.system, load.ledger, datetime.now(UTC))
            check_places(rig.system, rig.wrapping.inner)
            reader.nothing_is_late_any_more()
            seen = reader.answers
            wait_until("the reader to have read everything", lambda: reader.answers > seen + 24, 60)
        reader.check(load.ledger)
        codes = [worker.end(seconds=30) for worker in rig.workers]
        assert not rig.problems, rig.problems
        assert codes == [0] * len(codes), codes
        tricks = sum(rig.proxy.played.values())
        return (
            f"seed {seed}: {len(plan)} faults, {len(load.ledger.events)} events, {load.ledger.dead.total()} dead "
            f"letters, {tricks} inserts tricked, {reader.answers} answers read, {len(rig.workers)} workers: exact"
        )
    finally:
        rig.close()


def make_keys(system: System) -> dict[str, str]:
    """An API key for each organization that is read."""
    keys = {}
    for org in READ_ORGS:
        system.run("orgs", "set", org, "--tier", "scale")
        keys[org] = system.run("keys", "create", org).strip()
    return keys


def run_and_keep(seed: int, seconds: float, *, loud: bool = True) -> str:
    """A run in a directory of its own, which stays, with all logs, when the run fails."""
    directory = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
    with (directory / "chaos.log").open("w") as log:

        def say(sentence: str) -> None:
            print(sentence, file=log, flush=True)
            if loud:
                print(sentence, flush=True)

        say(f"seed {seed}, {seconds:g} s; again with: make chaos MINUTES={seconds / 60:g} SEED={seed}")
        try:
            sentence = run(directory, seed, seconds, say)
        except BaseException as error:
            say(f"seed {seed} FAILED: {error!r}\nall logs are in {directory}")
            raise
    shutil.rmtree(directory)
    return sentence


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, nargs="*", help="one run each; drawn when left out")
    arguments = parser.parse_args()
    seeds = arguments.seed or [random.SystemRandom().randrange(1_000_000)]
    outcomes = []
    for seed in seeds:
        try:
            outcomes.append(run_and_keep(seed, arguments.minutes * 60))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcomes.append(f"seed {seed}: FAILED")
    print("\n".join(outcomes))
    failed = sum(outcome.endswith("FAILED") for outcome in outcomes)
    print(f"{len(outcomes) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
