"""Transactions that were aborted are left out, whatever their records are, and nothing else is."""

import struct

from pipeline.kafka.batches import unpack_fetch
from pipeline.kafka.transactions import Aborted
from tests.support.record_batch import BatchSpec, Part

PRODUCER = 7
TRANSACTIONAL, CONTROL = 0x10, 0x20


def marker(commit: bool, offset: int) -> bytes:
    key = struct.pack(">hh", 0, int(commit))
    spec = BatchSpec(parts=(Part(b"\0" * 6, key),), attributes=CONTROL | TRANSACTIONAL, producer_id=PRODUCER)
    return spec.at(offset).build()


def in_transaction(value: bytes, offset: int, producer: int = PRODUCER) -> bytes:
    part = Part(value, headers=((b"\xff", b""),))
    return BatchSpec(parts=(part,), attributes=TRANSACTIONAL, producer_id=producer).at(offset).build()


def test_an_aborted_transaction_is_left_out_and_what_its_producer_writes_later_counts() -> None:
    payload = b"".join([
        in_transaction(b"aborted", 0), in_transaction(b"another's", 1, producer=8), marker(commit=False, offset=2),
        in_transaction(b"later", 3), marker(commit=True, offset=4),
    ])  # fmt: skip
    found = list(unpack_fetch(payload, 0, 9, Aborted([(PRODUCER, 0)])))
    assert [r.value for part in found for r in part.records] == [b"another's", b"later"]
    assert found[-1].next_offset == 5


def test_transactions_are_aborted_from_their_first_offset_on() -> None:
    payload = in_transaction(b"committed before", 0) + marker(commit=True, offset=1) + in_transaction(b"aborted", 2)
    found = list(unpack_fetch(payload, 0, 9, Aborted([(PRODUCER, 2)])))
    assert [r.value for part in found for r in part.records] == [b"committed before"]
