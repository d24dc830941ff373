"""The embedded engine behind HTTP, in a process of its own, with a fresh database per test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from deploy.migrate import migrate
from schemas.connection import connect
from tests.support.engine import clickhouse_process


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty ClickHouse server, without a database name."""
    with clickhouse_process(Path(tmp_path_factory.mktemp("clickhouse"))) as url:
        yield url


@pytest.fixture
def empty_url(engine: str) -> str:
    """The URL of a fresh database."""
    name = f"t{uuid.uuid4().hex}"
    connect(f"{engine}/default").command(f"CREATE DATABASE {name}")
    return f"{engine}/{name}"


@pytest.fixture
def url(empty_url: str) -> str:
    """The URL of a fresh database with all migrations."""
    migrate(connect(empty_url), 35, 90)
    return empty_url


@pytest.fixture
def client(url: str) -> Client:
    return connect(url)
