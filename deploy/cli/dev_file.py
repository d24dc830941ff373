"""``DIR/dev.json``, by which other commands find a running ``msgmetrics dev``."""

import contextlib
import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.errors import Unreachable
from schemas.settings import Settings

DEV_FILE = "dev.json"


@dataclass(frozen=True, slots=True)
class DevFile:
    """Addresses, keys and process id of a running ``dev``."""

    pid: int
    api_url: str
    admin_url: str
    clickhouse_url: str
    kafka_bootstrap: str
    kafka_cluster_id: str
    topics: tuple[str, ...]
    orgs: Mapping[str, Mapping[str, str]]


def read_dev_file(directory: Path) -> DevFile:
    """The running ``dev`` of a directory. Raises Unreachable where none runs there."""
    try:
        found = msgspec.json.decode((directory / DEV_FILE).read_bytes(), type=DevFile)
    except FileNotFoundError:
        raise Unreachable(f"no `msgmetrics dev` runs in {directory}; start one with --data {directory}") from None
    except OSError as error:
        raise Unreachable(f"{directory / DEV_FILE} cannot be read ({error.strerror}); name another directory") from None
    except msgspec.DecodeError as error:
        raise Unreachable(f"{directory / DEV_FILE} cannot be read ({error}); start `msgmetrics dev` again") from None
    if not _is_alive(found.pid):
        raise Unreachable(f"the `msgmetrics dev` of {directory} has ended; start it again")
    return found


def dev_settings(settings: Settings, found: DevFile) -> Settings:
    """The settings by which other commands reach a running ``dev``."""
    return dataclasses.replace(
        settings,
        kafka_bootstrap=found.kafka_bootstrap,
        kafka_topic=found.topics,
        kafka_cluster_id=found.kafka_cluster_id,
        clickhouse_url=found.clickhouse_url,
        clickhouse_cluster="",
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_dev_file(directory: Path, content: DevFile) -> None:
    """Write the file atomically, readable by its owner only."""
    target, draft = directory / DEV_FILE, directory / f".{DEV_FILE}.{os.getpid()}"
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
    draft.rename(target)


def remove_dev_file(directory: Path) -> None:
    """Remove the file as far as that is possible: one that stays names a process that has ended."""
    with contextlib.suppress(OSError):
        (directory / DEV_FILE).unlink()
