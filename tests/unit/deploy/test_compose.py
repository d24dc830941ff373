"""The compose file says nothing that the code does not know."""

import re
from pathlib import Path

from deploy.cli import cli
from schemas.settings import API_ADMIN_PORT, PREFIX, SETTINGS, WORKER_ADMIN_PORT

ROOT = Path(__file__).parents[3]
COMPOSE = (ROOT / "docker-compose.yml").read_text()


def test_every_variable_is_a_setting() -> None:
    names = set(re.findall(rf"^\s+({PREFIX}\w+):", COMPOSE, re.MULTILINE))
    assert names
    assert names <= {setting.variable for setting in SETTINGS}


def test_every_command_exists() -> None:
    commands = re.findall(r'command: \["msgmetrics", "(\w+)"\]', COMPOSE)
    assert set(commands) == {"migrate", "worker", "api"}
    assert set(commands) <= set(cli.commands)


def test_health_checks_ask_the_ports_that_are_served() -> None:
    assert f"localhost:{WORKER_ADMIN_PORT}/livez" in COMPOSE
    assert f"localhost:{API_ADMIN_PORT}/readyz" in COMPOSE


def test_only_the_api_is_published_and_no_password_has_a_default() -> None:
    assert re.findall(r'- "(\d+):\d+"', COMPOSE) == ["8000"]
    assert len(re.findall(r"\$\{MSGMETRICS_CLICKHOUSE_PASSWORD:\?", COMPOSE)) == 2
    assert "MSGMETRICS_CLICKHOUSE_PASSWORD:-" not in COMPOSE


def test_the_image_has_neither_the_embedded_engine_nor_the_tests_tools() -> None:
    locked = (ROOT / "requirements-runtime.lock").read_text()
    assert not re.search(r"^(chdb|chdb-core|pytest|mypy)==", locked, re.MULTILINE)


def test_locks_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-runtime.lock"):
        assert not re.search(r"https?://|--(extra-)?index|--find-links", (ROOT / name).read_text())


def test_both_locks_agree_on_versions() -> None:
    full, runtime = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-runtime.lock")
    )
    assert runtime
    assert {name: full.get(name) for name in runtime} == runtime
