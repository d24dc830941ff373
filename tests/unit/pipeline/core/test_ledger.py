"""The ledger of offsets: admitted in order, durable once flushed, lost batches noticed."""

from pipeline.core.flush import Batch, Chunk, End
from pipeline.core.ledger import Ledger
from tests.support.places import P0


def batch(ledger: Ledger, next_offset: int, size: int = 10) -> Batch:
    made = ledger.take(P0, [], next_offset, size, now=0.0)
    assert made is not None
    return made


def chunk_of(*batches: Batch) -> Chunk:
    last = batches[-1]
    size = sum(b.size_bytes for b in batches)
    return Chunk(ends={P0: End(last.epoch, last.next_offset, 0)}, size_bytes=size)


def test_only_what_is_flushed_is_durable() -> None:
    ledger = Ledger()
    ledger.begin(P0, 5, now=0)
    assert ledger.is_settled(P0)
    first, second = batch(ledger, 8), batch(ledger, 9)
    assert not ledger.is_settled(P0)
    assert ledger.admit(first, now=1)
    assert ledger.admit(second, now=1)
    ledger.durable(chunk_of(first))
    assert ledger.durable_offsets() == {P0: 8}
    assert ledger.undurable_bytes == 10
    ledger.durable(chunk_of(second))
    assert ledger.is_settled(P0)


def test_a_batch_after_a_lost_one_is_not_admitted_and_the_loss_is_reported() -> None:
    ledger = Ledger()
    ledger.begin(P0, 0, now=0)
    batch(ledger, 4)  # never arrives
    assert ledger.lost(now=5.0, patience_seconds=10) == {}
    assert ledger.lost(now=100.0, patience_seconds=10) == {P0: 0}
    assert not ledger.admit(batch(ledger, 9), now=5)
    assert ledger.lost(now=5.0, patience_seconds=10) == {P0: 0}, "a later one came: the first will never"


def test_a_steady_flow_does_not_hide_that_nothing_arrives() -> None:
    ledger = Ledger()
    ledger.begin(P0, 0, now=0)
    for second in range(1, 12):
        ledger.take(P0, [], second, 10, now=float(second))
    assert ledger.lost(now=12.0, patience_seconds=10) == {P0: 0}


def test_each_time_that_nothing_arrived_it_waits_twice_as_long() -> None:
    """Else what needs longer than the patience would be read again for ever: each reading drops the one before."""
    ledger = Ledger()
    ledger.begin(P0, 5, now=0)
    waited = []
    for _ in range(4):
        batch(ledger, 9)
        waited.append(next(s for s in range(100) if ledger.lost(now=s, patience_seconds=10)))
        ledger.begin(P0, 5, now=0)
    assert waited == [11, 21, 41, 41]
    arrives = batch(ledger, 9)
    assert ledger.admit(arrives, now=0)
    ledger.begin(P0, 9, now=0)
    batch(ledger, 12)
    assert ledger.lost(now=11, patience_seconds=10) == {P0: 9}, "something has arrived: it is as quick as at first"


def test_what_is_in_a_chunk_counts_until_it_is_durable_even_after_a_seek() -> None:
    ledger = Ledger()
    for start in range(3):  # a blocked sink, and one rebalance after the other
        ledger.begin(P0, 0, now=start)
        assert ledger.admit(batch(ledger, 4), now=start)
    batch(ledger, 6)
    assert ledger.undurable_bytes == 40
    ledger.begin(P0, 0, now=9)
    assert ledger.undurable_bytes == 30, "what was only under way is forgotten"
    ledger.durable(Chunk(size_bytes=30))
    assert ledger.undurable_bytes == 0


def test_what_was_read_before_a_seek_counts_for_nothing() -> None:
    ledger = Ledger()
    ledger.begin(P0, 0, now=0)
    stale = batch(ledger, 4)
    ledger.begin(P0, 2, now=1)
    assert not ledger.admit(stale, now=1)
    ledger.durable(chunk_of(stale))
    assert ledger.durable_offsets() == {P0: 2}
    assert ledger.is_settled(P0)


def test_what_is_given_back_is_lost_with_all_behind_it() -> None:
    ledger = Ledger()
    ledger.begin(P0, 5, now=0)
    batches = [batch(ledger, 8), batch(ledger, 9), batch(ledger, 12)]
    assert [ledger.admit(b, now=1) for b in batches[:2]] == [True, True]
    ledger.give_back(Chunk(batches=batches[:2], size_bytes=20))
    assert ledger.lost(now=1, patience_seconds=10) == {P0: 5}
    assert not ledger.admit(batches[2], now=1), "it comes behind what is to be read again"
    assert (ledger.durable_offsets(), ledger.is_settled(P0)) == ({P0: 5}, False)


def test_what_is_given_back_is_lost_in_a_reading_that_began_behind_it() -> None:
    """Batches that came late had it restarted there, since what was admitted was in memory."""
    ledger = Ledger()
    ledger.begin(P0, 100, now=0)
    in_memory = batch(ledger, 102)
    assert ledger.admit(in_memory, now=1)
    ledger.begin(P0, 102, now=20)
    assert ledger.admit(batch(ledger, 103), now=21)
    ledger.give_back(Chunk(batches=[in_memory], size_bytes=10))
    assert ledger.lost(now=22, patience_seconds=10) == {P0: 100}


def test_what_is_given_back_and_is_read_again_already_changes_nothing() -> None:
    ledger = Ledger()
    ledger.begin(P0, 100, now=0)
    in_memory = batch(ledger, 102)
    assert ledger.admit(in_memory, now=1)
    ledger.begin(P0, 90, now=20)  # another worker had it in between
    ledger.give_back(Chunk(batches=[in_memory], size_bytes=10))
    assert ledger.lost(now=22, patience_seconds=10) == {}
