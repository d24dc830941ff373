"""The archive of classes is made once, by one process, and none is waited for."""

import fcntl
from pathlib import Path

import pytest

from tests.support.class_archive import class_archive


@pytest.fixture(autouse=True)
def _a_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: __file__)


def write(archive: Path) -> None:
    archive.write_bytes(b"classes")


def never(_: Path) -> None:
    raise AssertionError("there is one already, or somebody else makes it")


def test_it_is_made_once_for_the_same_jars(tmp_path: Path) -> None:
    made = class_archive(tmp_path, tmp_path / "jars", write)
    assert made is not None
    assert made.read_bytes() == b"classes"
    assert class_archive(tmp_path, tmp_path / "jars", never) == made
    assert class_archive(tmp_path, tmp_path / "others", write) != made


def test_nobody_waits_for_another_that_makes_it(tmp_path: Path) -> None:
    def held(archive: Path) -> None:
        assert class_archive(tmp_path, tmp_path, never) is None
        write(archive)

    assert class_archive(tmp_path, tmp_path, held) is not None
    (lock,) = (tmp_path / "class-archives").glob("*.lock")
    with lock.open("w") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_java_that_makes_none_is_asked_once(tmp_path: Path) -> None:
    assert class_archive(tmp_path, tmp_path, lambda _: None) is None
    assert class_archive(tmp_path, tmp_path, never) is None
