"""Images are known by version and digest, so that what is tried out is what runs; a script brings the digests."""

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.compose import services
from tests.support.engine import ROOT

COMPOSED = ("docker-compose.yml", "deploy/cluster/docker-compose.yml")
DOCKERFILE = "deploy/Dockerfile"
FILES = (*COMPOSED, DOCKERFILE)
UNASKED = {"danielqsj/kafka-exporter"}
"""Images whose digest is not known yet; `make pin` writes it."""
PINNED = r"[a-z0-9./-]+:v?\d+\.\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}"
DOCKER = """#!/bin/sh
for image in "$@"; do :; done
echo "$image" >> "$ASKED"
[ -z "${REFUSED:-}" ] || { echo "no such thing"; exit "$REFUSED"; }
printf 'sha256:%s\\n' "$(printf %s "$image" | sha256sum | cut -d ' ' -f 1)"
"""


def images() -> Iterator[str]:
    """Images of others, as the files name them."""
    for name in COMPOSED:
        yield from (service["image"] for service in services(name).values() if "build" not in service)
    yield from re.findall(r"^FROM (\S+)", (ROOT / DOCKERFILE).read_text(), re.MULTILINE)


@pytest.mark.parametrize("image", sorted(set(images())))
def test_an_image_is_a_version_and_a_digest(image: str) -> None:
    name, _, version = image.partition(":")
    assert re.fullmatch(PINNED, image) or (name in UNASKED and re.fullmatch(r"v[\d.]+", version))


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files in a directory of their own, and a Docker that makes digests of names."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=":")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    return tmp_path


def pin(copy: Path) -> int:
    return subprocess.run([ROOT / "deploy" / "pin-images.sh", copy], capture_output=True, check=False).returncode


def test_the_script_asks_for_each_tag_once_and_replaces_every_digest(copy: Path) -> None:
    compose = copy / COMPOSED[0]
    compose.write_text(re.sub(r"@sha256:\w+", "", compose.read_text(), count=1))  # a tag without a digest
    assert pin(copy) == 0
    tags = {image.partition("@")[0] for image in images()}
    assert sorted((copy / "asked").read_text().split()) == sorted(tags)
    for name in FILES:
        text = (ROOT / name).read_text()
        for image in set(images()):
            tag = image.partition("@")[0]
            text = text.replace(image, f"{tag}@sha256:{hashlib.sha256(tag.encode()).hexdigest()}")
        assert (copy / name).read_text() == text


@pytest.mark.parametrize("refused", ["0", "1"])
def test_no_digest_changes_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    monkeypatch.setenv("REFUSED", refused)
    assert pin(copy) != 0
    assert all((copy / name).read_text() == (ROOT / name).read_text() for name in FILES)


def test_the_broker_of_the_tests_is_the_one_that_compose_starts() -> None:
    pom = (ROOT / "tests" / "support" / "kafka" / "pom.xml").read_text()
    (version,) = re.findall(r"<artifactId>kafka_.+</artifactId>\s+<version>(.+)</version>", pom)
    assert services()["kafka"]["image"].startswith(f"apache/kafka:{version}@")


def installs() -> Iterator[list[str]]:
    """Words of each call of pip in the Dockerfile, from its own on."""
    dockerfile = (ROOT / DOCKERFILE).read_text().replace("\\\n", " ")
    for line in re.findall(r"^RUN (.+)$", dockerfile, re.MULTILINE):
        for command in line.split("&&"):
            program, *words = shlex.split(command)
            if program.endswith("/pip"):
                yield words


def test_the_image_is_built_from_nothing_that_no_lock_names() -> None:
    found = list(installs())
    locks = {words[words.index("-r") + 1] for words in found if "--require-hashes" in words}
    assert locks == {"requirements-runtime.lock", "requirements-build.lock"}
    assert all("--no-index" in words for words in found if "--require-hashes" not in words)


def test_the_wheel_is_built_offline_by_the_locked_setuptools(tmp_path: Path) -> None:
    (words,) = (words for words in installs() if words[0] == "wheel")
    place = words.index("--wheel-dir") + 1
    words[place:] = [str(tmp_path / "wheels"), "."]
    source = tmp_path / "source"
    for name in ("schemas", "pipeline", "api", "deploy"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    subprocess.run([sys.executable, "-m", "pip", *words], cwd=source, check=True, capture_output=True)
    assert [wheel.name[-8:] for wheel in (tmp_path / "wheels").iterdir()] == ["-any.whl"]


def test_what_builds_here_builds_the_image() -> None:
    """The same setuptools, by hash, is in the lock of the tests and in that of the build."""
    pins = [
        match[0]
        for name in ("requirements.lock", "requirements-build.lock")
        for match in re.finditer(r"^setuptools==\S+ \\\n( +--hash\S+( \\)?\n)+", (ROOT / name).read_text(), re.M)
    ]
    assert len(pins) == 2
    assert len(set(pins)) == 1
