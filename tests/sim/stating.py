"""A world in which a month is stated while late events come: two who close it and two who adjust it, at once and
crashing anywhere, finance that books every revision, and restores of an older backup.
"""

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from copy import deepcopy
from decimal import Decimal
from typing import Any

from pipeline.core.effects import WriteResync
from pipeline.core.statements.deciding import Order, Refusal
from pipeline.core.statements.document import hash_of
from pipeline.core.statements.keeping import Unfit
from pipeline.core.statements.steps import NotYet, firm_steps, state_steps
from pipeline.runner import drive
from schemas.grain import Grain
from schemas.period import Period, parse_period
from tests.sim.lag import TABLES
from tests.sim.log import START, STEP, STEPS, milliseconds
from tests.sim.stage import Moves
from tests.sim.world import Role, World, verdict_of
from tests.support.exported import import_documents

MAY: Period = parse_period("2026-05")
CLERKS = (False, False, True, True)
"""Two who close, and two who adjust."""
BACKED_UP = (*TABLES, "letters")
MORE_EVENTS = 3
BACKUP, RESTORE = 0.02, 0.03
"""Of so many moves one is followed by a backup, or by the restore of the last one."""
KEEPER_COMES = 300
COUNTS = ("sent", "delivered", "failed", "charged")
Line = tuple[str, str, str | None]


class StatingWorld(World):
    """Most of the log, prices too, comes late: the month has ended when the first record is published."""

    def __init__(self, seed: int, to_crash_at: Collection[str] = ()) -> None:
        super().__init__(seed, to_crash_at=to_crash_at)
        self.is_brisk, self.now_ms = True, milliseconds(START + STEP * STEPS)
        for _ in range(MORE_EVENTS):
            self.log.write()
            self.log.charge()
        self.booked: dict[tuple[str, int], bytes] = {}
        """By organization and revision, as finance has them."""
        self.backup: dict[str, Any] = {}
        self._open_office()

    def _open_office(self) -> None:
        for number, adjusts in enumerate(CLERKS):
            self.cast.add(Role.CLERK, number, self.clerk(adjusts))
        self.cast.add(Role.FINANCE, 0, self.finance())

    def clerk(self, adjusts: bool) -> Moves:
        """Closes the month, or adjusts it, again and again."""
        while True:
            order = Order(MAY, adjusts=adjusts, partial=True)
            with suppress(NotYet):
                yield from self.perform(state_steps(order))
            yield

    def finance(self) -> Moves:
        """Books every revision that is firm, and keeps its bytes; what was booked must never be another one."""
        while True:
            for org, history in (yield from self.perform(firm_steps(MAY.name))).items():
                for number, statement in history.revisions.items():
                    data = next(d for s, d in self.store.statements if s.sha256 == statement.sha256)
                    if self.booked.setdefault((org, number), data) != data:
                        self.problem = f"revision {number} of {org} was booked, and is another one now"
            yield

    def keeper(self) -> Moves:
        """After a restore: imports all that was booked, then has statements go on."""
        for _ in range(self.whims.randrange(KEEPER_COMES)):
            yield
        try:
            yield from self.perform(import_documents(self.booked.values()))
        except Unfit as error:
            self.problem = str(error)
        self.store.restored_ms = 0
        while True:
            yield

    def move(self) -> None:
        super().move()
        dice = self.whims.random()
        if dice < BACKUP:
            self.backup = {name: deepcopy(getattr(self.store, name)) for name in BACKED_UP}
        elif dice < RESTORE and self.backup and not self.has_operators:
            self.restore()

    def restore(self) -> None:
        """Everything is lost but Kafka and what finance has; the last backup is restored, and all begin anew."""
        self.cast.keep(lambda *_: False)
        self.strays.clear()
        self.store.under_way.clear()
        for name, rows in deepcopy(self.backup).items():
            setattr(self.store, name, rows)
        self.store.restored_ms = self.now_ms
        self.store.perform(WriteResync(""))
        self.as_of_seen = 0
        for server in self.servers:
            server.catch_up()
        self.cast.add(Role.ROLLER, 0, self.roller(), self.roller())
        self.cast.add(Role.READER, 0, self.reader())
        self.cast.add(Role.KEEPER, 0, self.keeper())
        self._open_office()
        for place in self.partitions:
            self.hire(place)

    def _again(self, role: Role, mine: int) -> Moves:
        match role:
            case Role.CLERK:
                return self.clerk(CLERKS[mine])
            case Role.FINANCE:
                return self.finance()
            case Role.KEEPER:
                return self.keeper()
        return super()._again(role, mine)

    def _pass(self, ms: int) -> None:
        self.now_ms += ms

    def _fall(self) -> None:
        """Rows of statements are told apart by a clock that is not set back."""


def play(seed: int, to_crash_at: Collection[str] = ()) -> StatingWorld:
    """Play one schedule to its end."""
    world = StatingWorld(seed, to_crash_at)
    for _ in range(world.random.randint(100, 500)):
        world.move()
    world.settle()
    return world


def problem(world: StatingWorld) -> str | None:
    """What is wrong in the end: with the numbers, with the history, or with what finance has booked."""
    if wrong := verdict_of(world):
        return wrong
    world.cast.keep(lambda *_: False)  # who stands in the middle of an insert would be waited for
    results = drive(state_steps(Order(MAY, adjusts=True, partial=True, lower=True)), world.store.perform)
    stated = drive(firm_steps(MAY.name), world.store.perform)
    refused = {r.org_id for r in results if isinstance(r.outcome, Refusal)}
    counted = {org for (org, _), row in world.store.rollups[Grain.DAY].items() if row.facts}
    if refused != world.store.erasures.keys() & {*stated, *counted}:
        return f"refused: {[r.outcome.sentence for r in results if isinstance(r.outcome, Refusal)]}"
    for org, history in stated.items():
        by_hash = {s.sha256: data for s, data in world.store.statements}
        revisions = [by_hash[history.revisions[n].sha256] for n in range(1, len(history.revisions) + 1)]
        booked = [world.booked[o, n] for o, n in sorted(world.booked) if o == org]
        if booked != revisions[: len(booked)]:
            return f"finance has other revisions of {org}"
        if wrong := _wrong_chain(revisions, may_fall=world.is_corrupt):
            return f"{org}: {wrong}"
        if org not in refused and _lines(revisions[-1]) != _truth(world, org):
            return f"{org}: the newest revision is not the truth"
    return None


def _wrong_chain(revisions: list[bytes], *, may_fall: bool) -> str | None:
    """What is wrong with revisions of an organization, by a naive reading of their bytes."""
    previous, sums, before = None, dict[Line, dict[str, Decimal]](), dict[Line, dict[str, Decimal]]()
    for number, data in enumerate(revisions, 1):
        head, *_, totals = [json.loads(line) for line in data.decode().splitlines()]
        lines = _lines(data)
        if (head["revision"], head["previous"]) != (number, previous):
            return f"revision {number} does not follow the one before"
        for name, value in totals.items():
            if Decimal(value) != sum((line[name] for line in lines.values()), Decimal(0)):
                return f"the totals of revision {number} are not the sum"
        if number > 1:
            for cell in {*lines, *before}:
                for name in totals:
                    change = lines.get(cell, {}).get(name, Decimal(0)) - before.get(cell, {}).get(name, Decimal(0))
                    if change < 0 and name in COUNTS and not may_fall:
                        return f"revision {number} takes {name} of {cell} back"
                    sums.setdefault(cell, {}).setdefault(name, Decimal(0))
                    sums[cell][name] += change
        else:
            first = lines
        previous, before = hash_of(data), lines
    for cell in {*first, *before}:
        for name in (*COUNTS, "cost_cents"):
            newest = before.get(cell, {}).get(name, Decimal(0)) - first.get(cell, {}).get(name, Decimal(0))
            if sums.get(cell, {}).get(name, Decimal(0)) != newest:
                return f"adjustments of {cell} do not add up to the newest revision less the first"
    return None


def _lines(data: bytes) -> dict[Line, dict[str, Decimal]]:
    found = [json.loads(line) for line in data.decode().splitlines()[1:-1]]
    return {
        (line["day"], line["channel"], line["error_code"]): {n: Decimal(line[n]) for n in (*COUNTS, "cost_cents")}
        for line in found
    }


def _truth(world: StatingWorld, org: str) -> Mapping[Line, dict[str, Decimal]]:
    """A naive recount of the month."""
    found: dict[Line, dict[str, Decimal]] = {}
    for fact in world.log.truth.values():
        if fact[0] == org and fact[6] < MAY.end_ms:
            day = ("2026-05-31", fact[3], fact[4] or None)
            numbers = found.setdefault(day, dict.fromkeys((*COUNTS, "cost_cents"), Decimal(0)))
            numbers[COUNTS[fact[2] - 1]] += 1
            numbers["cost_cents"] += Decimal(fact[5]) / 1_000_000
    return found
