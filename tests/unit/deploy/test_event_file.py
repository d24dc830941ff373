"""A file of events is read to its end, in pieces of bounded size, or it is refused."""

import gzip
import itertools
import os
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.event_file import LONGEST_LINE, Decompressor, event_lines, lines, uncompressed
from deploy.errors import Usage
from tests.support.engine import ROOT

THREE = b"one\n two \r\n\n\nfive"
READ = [(1, b"one"), (2, b"two"), (5, b"five")]
PACKED = {"gzip": gzip.compress(THREE), "zstd": zstandard.ZstdCompressor(write_checksum=True).compress(THREE)}
SUFFIX = {"gzip": ".gz", "zstd": ".zst"}
BOMB_BYTES = 128 << 20
SCRIPT = (
    "import sys\nfrom deploy.cli.event_file import event_lines\n"
    "with event_lines(sys.argv[1]) as lines: print(list(lines))"
)


def read(path: Path) -> list[tuple[int, bytes]]:
    with event_lines(str(path)) as found:
        return list(found)


def refusal(path: Path) -> str:
    with pytest.raises(Usage) as refused:
        read(path)
    assert str(refused.value).startswith(repr(str(path)))
    return str(refused.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events"


@given(st.binary(max_size=300), st.integers(1, 40))
def test_lines_are_the_same_however_they_are_cut_into_blocks(content: bytes, size: int) -> None:
    blocks = [content[start : start + size] for start in range(0, len(content), size)]
    expected = [(n, line.strip()) for n, line in enumerate(content.split(b"\n"), 1) if line.strip()]
    assert list(lines(blocks)) == expected


def test_of_a_line_without_end_no_more_is_kept_than_shows_that_it_is_too_long() -> None:
    block = bytes(100_000)
    endless = itertools.chain([b"a\n"], itertools.repeat(block, 500), [b"\nb\n"])
    tracemalloc.start()
    try:
        assert [(n, len(line)) for n, line in lines(endless)] == [(1, 1), (2, LONGEST_LINE + 1), (3, 1)]
        assert tracemalloc.get_traced_memory()[1] < 10 * len(block)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("suffix", ["", "its own"])
def test_the_first_bytes_say_how_a_file_is_compressed(file: Path, codec: str, suffix: str) -> None:
    file = file.with_suffix(SUFFIX[codec] if suffix else "")
    file.write_bytes(PACKED[codec])
    assert read(file) == READ


@pytest.mark.parametrize("codec", PACKED)
def test_a_suffix_that_the_first_bytes_contradict_tells_a_damaged_file(file: Path, codec: str) -> None:
    file = file.with_suffix(SUFFIX[codec])
    file.write_bytes(THREE)
    assert f"its name says {codec}" in refusal(file)


@pytest.mark.parametrize("codec", PACKED)
def test_a_file_that_is_cut_anywhere_is_refused(file: Path, codec: str) -> None:
    for end in range(4, len(PACKED[codec])):
        file.write_bytes(PACKED[codec][:end])
        assert "its end is missing" in refusal(file)


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("garbage", [b"x", b"\x1f", b"garbage that is longer", b"\0\0x"])
def test_garbage_behind_the_end_is_refused(file: Path, codec: str, garbage: bytes) -> None:
    file.write_bytes(PACKED[codec] + garbage)
    assert "cannot be uncompressed" in refusal(file)


@pytest.mark.parametrize("codec", PACKED)
def test_all_members_are_read(file: Path, codec: str) -> None:
    pack: Callable[[bytes], bytes] = gzip.compress if codec == "gzip" else zstandard.compress
    file.write_bytes(b"".join(pack(b"%d\n" % number) for number in range(1000)))
    assert read(file) == [(number + 1, b"%d" % number) for number in range(1000)]


def test_zeros_may_stand_behind_gzip_and_frames_to_be_skipped_before_zstd(file: Path) -> None:
    file.write_bytes(PACKED["gzip"] + b"\0" * 2000)
    assert read(file) == READ
    file.write_bytes(b"\x5a\x2a\x4d\x18\x04\0\0\0skip" + PACKED["zstd"])
    assert read(file) == READ


@pytest.mark.parametrize("beginning", [b"BZh91AY", b"\xfd7zXZ\0\0", b"PK\x03\x04..", b"\x04\x22\x4d\x18.."])
def test_another_compression_is_named_with_the_remedy(file: Path, beginning: bytes) -> None:
    file.write_bytes(beginning)
    assert "uncompress it first" in refusal(file)


@pytest.mark.parametrize(
    ("pack", "begin"),
    [
        (gzip.compress, lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
        (zstandard.ZstdCompressor(level=19).compress, zstandard.ZstdDecompressor().decompressobj),
    ],
)
def test_a_bomb_is_uncompressed_in_pieces_of_bounded_size(
    pack: Callable[[bytes], bytes], begin: Callable[[], Decompressor]
) -> None:
    sizes = [len(piece) for piece in uncompressed([pack(bytes(BOMB_BYTES))], begin)]
    assert sum(sizes) == BOMB_BYTES
    assert max(sizes) <= 17 << 20


@pytest.mark.parametrize("name", ["/", "", "/no/such/file", "/proc/self/mem", "\0", "\x1b[31m\udcff"])
def test_a_name_that_cannot_be_read_is_one_sentence_that_quotes_it(name: str) -> None:
    with pytest.raises(Usage) as refused, event_lines(name) as found:
        list(found)
    assert str(refused.value).startswith(f"{name!r} cannot be read: ")
    assert str(refused.value).isprintable()


def test_a_pipe_is_read_to_its_end_however_slowly_it_is_written(file: Path) -> None:
    os.mkfifo(file)

    def write() -> None:
        with file.open("wb", buffering=0) as sink:
            for byte in PACKED["gzip"]:
                sink.write(bytes([byte]))

    with ThreadPoolExecutor(1) as pool:
        written = pool.submit(write)
        assert read(file) == READ
        written.result()


def test_standard_input_that_does_not_block_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Node and others hand on such a pipe: while it is empty, it looks like its end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    go_on = threading.Event()

    def write() -> None:
        with open(writer, "wb", buffering=0) as sink:
            sink.write(b"the first\n")
            go_on.wait()
            sink.write(b"the second\n")

    with open(reader) as stdin, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(sys, "stdin", stdin)
        written = pool.submit(write)
        try:
            with event_lines("-") as found:
                assert next(found) == (1, b"the first")
                go_on.set()
                assert next(found) == (2, b"the second")
        finally:
            go_on.set()
        written.result()


def test_closed_standard_input_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(Usage, match="standard input cannot be read: it is closed"), event_lines("-"):
        pass


@pytest.mark.parametrize("feed", ["- < {}", "- < <(cat {})", "/dev/stdin < {}", "/dev/stdin < <(cat {})", "<(cat {})"])
def test_every_way_of_handing_on_a_file_reads_it_whole(file: Path, feed: str) -> None:
    file.write_bytes(PACKED["zstd"])
    way = f"{sys.executable} -c '{SCRIPT}' {feed.format(file)}"
    done = subprocess.run(["bash", "-c", way], cwd=ROOT, capture_output=True, check=False)
    assert (done.stdout.decode().strip(), done.stderr) == (str(READ), b"")
