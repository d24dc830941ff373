"""Compression undone within a limit, and only whole; formats before Kafka 0.11."""

import gzip
import time
from collections.abc import Sequence

import cramjam
import pytest
import zstandard
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kafka import codecs
from pipeline.kafka.batches import BatchRefused, unpack_fetch
from pipeline.kafka.codecs import CannotUnpack
from pipeline.kafka.transactions import Aborted
from tests.support.record_batch import CODECS, compress


@pytest.mark.parametrize("codec", [c for c in sorted(CODECS) if c != "none"])
def test_a_batch_that_unpacks_to_too_much_is_refused_before_it_does(
    codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = memoryview(compress(codec, bytes(3_000_000)))
    with pytest.raises(CannotUnpack, match="uncompresses to more than 2000000 bytes"):
        codecs.unpack(CODECS[codec], packed, 2_000_000)
    assert len(codecs.unpack(CODECS[codec], packed, 3_000_000)) == 3_000_000


def test_a_snappy_block_that_claims_gigabytes_is_refused_unread() -> None:
    with pytest.raises(CannotUnpack, match="more than"):
        codecs.unpack(CODECS["snappy"], memoryview(b"\xff\xff\xff\xff\x0f"))


@given(codec=st.sampled_from([c for c in sorted(CODECS) if c != "none"]), cut=st.integers(1, 200))
@settings(max_examples=100)
def test_a_stream_whose_end_is_missing_is_never_taken_for_a_shorter_one(codec: str, cut: int) -> None:
    content = bytes(range(256)) * 8
    packed = compress(codec, content)
    with pytest.raises(CannotUnpack):
        codecs.unpack(CODECS[codec], memoryview(packed[: -min(cut, len(packed) - 1)]))


def test_streams_of_several_members_are_read_whole() -> None:
    a, b = bytes(1000), b"x" * 1000
    for codec, packed in {
        "gzip": gzip.compress(a) + gzip.compress(b),
        "lz4": compress("lz4", a) + compress("lz4", b),
        "zstd": zstandard.compress(a) + zstandard.compress(b),
        "snappy": bytes(cramjam.snappy.compress_raw(a + b)),
    }.items():
        assert bytes(codecs.unpack(CODECS[codec], memoryview(packed))) == a + b, codec


def test_a_gzip_stream_of_thousands_of_members_takes_no_minutes() -> None:
    member = gzip.compress(bytes(1500))
    began = time.process_time()
    assert len(codecs.unpack(CODECS["gzip"], memoryview(member * 10_000))) == 15_000_000
    assert time.process_time() - began < 10, "it took half a minute while each member copied all that was before it"


# -- formats before Kafka 0.11 ----------------------------------------------------------------------------------


def legacy(magic: int, codec: int, values: Sequence[bytes]) -> bytes:
    builder = LegacyRecordBatchBuilder(magic, codec, 1 << 20)
    for offset, value in enumerate(values):
        builder.append(offset, 1_700_000_000_000, b"k", value)
    return bytes(builder.build())


@pytest.mark.parametrize(("magic", "codec"), [(0, 0), (1, 0), (0, 1), (1, 1), (1, 2), (1, 3)])
def test_old_formats_are_read(magic: int, codec: int) -> None:
    parts = unpack_fetch(legacy(magic, codec, [b"a", b"b"]), 0, 9, Aborted(()))
    assert [(r.offset, r.key, r.value) for part in parts for r in part.records] == [(0, b"k", b"a"), (1, b"k", b"b")]


@given(at=st.integers(16, 500), bit=st.integers(0, 7), magic=st.sampled_from([0, 1]), codec=st.sampled_from([0, 1, 2]))
@settings(max_examples=200)
def test_an_old_batch_that_is_damaged_is_refused(at: int, bit: int, magic: int, codec: int) -> None:
    payload = bytearray(legacy(magic, codec, [b"a"]))
    at = 16 + (at - 16) % (len(payload) - 16)
    payload[at] ^= 1 << bit
    with pytest.raises(BatchRefused):
        list(unpack_fetch(bytes(payload), 0, 9, Aborted(())))
