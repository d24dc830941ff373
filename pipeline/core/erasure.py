"""The protocol of an erasure: what an organization has sent up to an instant goes, and what it has sent since stays."""

from pipeline.core.effects import (
    AwaitInserts,
    Erased,
    EraseRollups,
    EraseRows,
    Erasures,
    FindErased,
    FinishErasure,
    OrderErasure,
    ReadEarliestFact,
    ReadInserts,
    ReadState,
    State,
    Steps,
    Synchronise,
    UnderWay,
    WriteResync,
)
from pipeline.core.protocol import rebuild_steps
from schemas.grain import MS_PER_SECOND, Grain


def order_erasure_steps(org_id: str, at_ms: int) -> Steps[None]:
    """Order that all is erased that an organization sent up to an instant, and do it."""
    yield OrderErasure(org_id, at_ms)
    yield from erase_steps(org_id, at_ms)


def erase_steps(org_id: str, at_ms: int) -> Steps[None]:
    """Delete what an organization sent up to an instant, and write its rollups anew from what it has sent since.

    From below upwards: facts until there are none, then the rollups grain by grain, each time waiting for the inserts
    that may have computed from what is gone. Only then nothing can come back, and the rebuild writes what is younger.
    Every deletion is announced with a rising number, and an announcement from elsewhere meanwhile starts this over: so
    an erasure that is interrupted anywhere stays unfinished, whoever else was at it.

    Rollups are deleted from the floor of facts on, where all can be computed again; and before it, where nothing can,
    those alone that were computed before the erasure was ordered: a customer may have come back since. The rebuild
    begins at the same floor, though a later one may hold by then, since facts outlast it by the margin.

    Of what was deleted no row is left to tell it, so copies of the organization's numbers are to be read anew: when all
    is written that stays, and before the erasure is finished, so that one which is interrupted here is gone on with.

    The state is read before anything is deleted, and before it is called finished: a database that is being migrated
    may have its facts where nobody looks for them, and then this ends.
    """
    yield Synchronise()
    state: State = yield ReadState()
    floor_ms = state.facts_floor_ms
    announcement: int | None = None
    while announcement is None:
        yield Synchronise()
        erased: Erased = yield EraseRows(org_id, at_ms)
        yield from _await_inserts()
        if not erased.rows:
            announcement = yield from _erase_rollups(org_id, erased.announcement, floor_ms)
    earliest: int | None = yield ReadEarliestFact(org_id)
    if earliest is not None:
        state = yield ReadState()
        closing = state.closing_ms // MS_PER_SECOND
        yield from rebuild_steps(earliest, closing, org_id, since_ms=floor_ms)
    yield WriteResync(org_id)
    yield ReadState()
    yield FinishErasure(org_id, announcement)


def _erase_rollups(org_id: str, announcement: int, floor_ms: int) -> Steps[int | None]:
    """The last announcement; None where another interfered."""
    for grain in Grain:
        made: int | None = yield EraseRollups(org_id, grain, announcement, floor_ms)
        if made is None:
            return None
        announcement = made
        yield from _await_inserts()
    return announcement


def _await_inserts() -> Steps[None]:
    """Wait until the inserts have ended that are under way now, however long that takes.

    What begins from here on does not see what was deleted. Which are under way is read once: asked anew after every
    refusal, there would always be some.
    """
    yield Synchronise()
    under_way: UnderWay = yield ReadInserts()
    have_ended = False
    while not have_ended:
        have_ended = yield AwaitInserts(under_way)


def sweep_steps() -> Steps[tuple[str, ...]]:
    """Go on with erasures that were interrupted, and erase again what came back.

    A worker may end between inserting erased facts and looking for erasures, and a statement may outlast what an
    erasure waits for; so this is repeated from time to time. Returns the organizations of which something was found.
    """
    state: State = yield ReadState()
    found: Erasures = yield FindErased(state.facts_floor_ms)
    for org_id, at_ms in sorted(found.items()):
        yield from erase_steps(org_id, at_ms)
    return tuple(sorted(found))
