"""Classes that a JVM has loaded once, kept in a file that later ones map: these start in half the time."""

import fcntl
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path


def class_archive(cache: Path, jars: Path, train: Callable[[Path], None]) -> Path | None:
    """The archive for these jars and this Java, made on first use; None while another process makes it, and for ever
    where the JVM cannot.

    ``train`` runs the program whose classes are wanted, and has its JVM write them to the path that it is given.
    """
    archive = cache / "class-archives" / f"{_digest(jars)}.jsa"
    if archive.exists():
        return _if_any(archive)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with archive.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        if not archive.exists():
            part = archive.with_suffix(".part")
            train(part)
            part.touch()  # there is none of a JVM that cannot write one
            part.rename(archive)
    return _if_any(archive)


def _if_any(archive: Path) -> Path | None:
    return archive if archive.stat().st_size else None


def _digest(jars: Path) -> str:
    """A JVM takes no archive of another JVM, or of jars that lay elsewhere."""
    java = Path(shutil.which("java") or "java").resolve()
    return hashlib.sha256(f"{java} {java.stat().st_mtime_ns} {jars}".encode()).hexdigest()[:16]
