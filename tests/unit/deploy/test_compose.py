"""The compose file, resolved by Compose itself, says nothing that the code does not know, and contains its services."""

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.clickhouse_server.make_users import DATABASE, USERS
from schemas.settings import API_ADMIN_PORT, PREFIX, SETTINGS, WORKER_ADMIN_PORT, read_settings
from tests.support.commands import COMMANDS
from tests.support.compose import OURS, compose, services
from tests.support.engine import ROOT

RUN_SECRETS = "/run/secrets/"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = Path(tmp_path_factory.mktemp("secrets"))
    subprocess.run([ROOT / "deploy" / "make-secrets.sh", directory], check=True)
    return directory


@pytest.mark.parametrize("name", OURS)
def test_the_settings_of_each_process_are_complete_and_agree(name: str, secrets: Path) -> None:
    environment = {
        variable: value.replace(RUN_SECRETS, f"{secrets}/") if variable.endswith("_FILE") else value
        for variable, value in services()[name]["environment"].items()
    }
    settings = read_settings(environment)
    url = urlsplit(settings.clickhouse.url)
    assert (url.hostname, url.port, url.path) == ("clickhouse", 8123, f"/{DATABASE}")
    assert url.username == name
    assert url.username in {user.name for user in USERS}
    assert len(settings.clickhouse.password) == 64
    assert settings.kafka_bootstrap == "kafka:9092"


@pytest.mark.parametrize("name", OURS)
def test_each_process_runs_a_command_that_exists(name: str) -> None:
    program, command, *options = services()[name]["command"]
    assert program == "msgmetrics"
    assert set(options) <= {flag for parameter in COMMANDS[command].params for flag in parameter.opts}


def test_processes_read_one_list_of_topics_and_all_of_it_is_made() -> None:
    """The broker is the file's own: a topic that is missing is one that somebody has just listed."""
    lists = {services()[name]["environment"]["MSGMETRICS_KAFKA_TOPIC"] for name in OURS}
    assert lists == {",".join(read_settings({}).topics)}
    assert "--create" in services()["migrate"]["command"]


def test_two_workers_and_one_of_everything_else() -> None:
    replicas = {name: service.get("deploy", {}).get("replicas", 1) for name, service in services().items()}
    assert replicas.pop("worker") == 2
    assert set(replicas.values()) == {1}


def test_health_checks_ask_what_is_served() -> None:
    asked = {
        name: " ".join(service["healthcheck"]["test"])
        for name, service in services().items()
        if name in ("worker", "api")
    }
    assert f"localhost:{WORKER_ADMIN_PORT}/livez" in asked["worker"]
    assert f"localhost:{API_ADMIN_PORT}/readyz" in asked["api"]
    waits = {name: service.get("depends_on", {}) for name, service in services().items()}
    assert {need["condition"] for need in waits["migrate"].values()} == {"service_healthy"}
    for name in ("worker", "api"):
        assert waits[name]["migrate"]["condition"] == "service_completed_successfully"


def test_only_the_api_is_published_and_beyond_loopback_nothing_unless_told() -> None:
    published = {
        (name, port["published"], port["host_ip"]) for name, s in services().items() for port in s.get("ports", [])
    }
    assert published == {("api", "8000", "127.0.0.1"), ("grafana", "3000", "127.0.0.1")}
    assert services()["grafana"]["profiles"] == ["monitoring"]
    outside = {name for name, network in compose()["networks"].items() if not network.get("internal")}
    assert outside == {"edge"}
    assert members("edge") == {"api", "grafana"}


def members(network: str) -> set[str]:
    """The services on a network."""
    return {name for name, service in services().items() if network in service["networks"]}


def test_whoever_takes_over_what_people_reach_is_on_no_network_with_kafka_or_a_worker() -> None:
    """Kafka asks nobody for a name there: who reaches it can write events for any organization. A worker's admin port
    shows pieces of dead letters of any organization, and listens on every network that it is on."""
    assert members("kafka") == {"kafka", "migrate", "worker", "operator", "kafka-exporter"}
    assert members("engines") == {"clickhouse", "kafka-exporter", "prometheus"}
    reached = [set(service["networks"]) for service in services().values() if service.get("ports")]
    for name in ("kafka", "worker", "operator", "migrate"):
        assert not [networks for networks in reached if networks & set(services()[name]["networks"])], name


def test_everybody_shares_a_network_with_what_it_asks() -> None:
    asked = {
        "clickhouse": {"migrate", "worker", "operator", "api", "prometheus"},
        "kafka": {"migrate", "worker", "operator", "kafka-exporter"},
        "kafka-exporter": {"prometheus"},
        "worker": {"prometheus"},
        "api": {"prometheus"},
        "prometheus": {"grafana"},
    }
    for name, asking in asked.items():
        assert asking <= set().union(*map(members, services()[name]["networks"])), name


def test_no_password_is_in_the_file_or_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert not re.search(r"PASSWORD:\s", text)
    for service in services().values():
        for variable, value in service["environment"].items() if "environment" in service else ():
            if re.search(r"PASSWORD|SECRET|TOKEN", variable):
                assert value.startswith(RUN_SECRETS), variable
            assert not (urlsplit(value or "").password), variable


def test_every_secret_is_one_that_the_script_makes_and_git_never_sees(secrets: Path) -> None:
    made = {file.name for file in secrets.iterdir()} - {"passwords.sql"}  # for servers that are not of this file
    sources = {name: Path(secret["file"]) for name, secret in compose()["secrets"].items()}
    assert {path.name for path in sources.values()} == made
    assert {path.parent for path in sources.values()} == {ROOT / "secrets"}
    used = {secret["source"] for service in services().values() for secret in service.get("secrets", [])}
    assert used == set(sources)
    assert "secrets/" in (ROOT / ".gitignore").read_text().split()
    assert "secrets" in (ROOT / ".dockerignore").read_text().split()


@pytest.mark.parametrize("name", services())
def test_each_service_is_contained(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["mem_limit"]) <= 4 << 30
    assert 0 < float(service["cpus"]) <= 2
    assert 0 < int(service["pids_limit"]) <= 4096
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5"}
    assert service.get("restart") in ("unless-stopped", "on-failure:5", "no")
    assert not service.get("privileged")


@pytest.mark.parametrize("name", [*OURS, "kafka-exporter", "prometheus", "grafana"])
def test_what_writes_nothing_has_a_read_only_root(name: str) -> None:
    assert services()[name]["read_only"] is True


def test_what_is_mounted_exists_and_data_is_in_volumes() -> None:
    binds, volumes = [], set()
    for service in services().values():
        for mount in service.get("volumes", []):
            if mount["type"] == "bind":
                binds.append(mount)
            else:
                volumes.add(mount["source"])
    assert binds
    assert all(Path(mount["source"]).exists() and mount["read_only"] for mount in binds)
    assert volumes == set(compose()["volumes"])


SCRAPED_OVER = {"worker": "monitoring", "api": "api-monitoring", "clickhouse": "engines", "kafka-exporter": "engines"}


def test_prometheus_scrapes_the_ports_that_are_served_and_grafana_reads_from_it() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    scraped = {
        (name, lookup["port"])
        for job in config["scrape_configs"]
        for lookup in job["dns_sd_configs"]
        for name in lookup["names"]
    }
    assert scraped == {
        ("worker", WORKER_ADMIN_PORT), ("api", API_ADMIN_PORT), ("clickhouse", 9363), ("kafka-exporter", 9308),
    }  # fmt: skip
    assert all(members(network) >= {"prometheus", name} for name, network in SCRAPED_OVER.items())
    clickhouse = ET.parse(ROOT / "deploy" / "clickhouse_server" / "config.xml").find("prometheus")
    assert clickhouse is not None
    assert (clickhouse.findtext("endpoint"), clickhouse.findtext("port")) == ("/metrics", "9363")
    targets = {mount["target"] for mount in services()["prometheus"]["volumes"]}
    assert {str(Path(rule).parent) for rule in config["rule_files"]} <= targets
    assert "--config.file=/etc/prometheus/prometheus.yml" in services()["prometheus"]["command"]
    mounts = {mount["source"]: mount["target"] for mount in services()["grafana"]["volumes"]}
    folder = ROOT / "deploy" / "grafana"
    source = _yaml("provisioning/datasources/prometheus.yml")["datasources"][0]
    assert urlsplit(source["url"])[:2] == ("http", "prometheus:9090")
    provider = _yaml("provisioning/dashboards/message-metrics.yml")["providers"][0]
    assert provider["options"]["path"] == mounts[str(folder)]
    assert mounts[str(folder / "provisioning")] == "/etc/grafana/provisioning"


def _yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / "grafana" / name).read_text())


def test_the_image_has_neither_root_nor_the_embedded_engine_nor_the_tests_tools() -> None:
    locked = (ROOT / "requirements-runtime.lock").read_text()
    assert not re.search(r"^(chdb|chdb-core|pytest|mypy)==", locked, re.MULTILINE)
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE) == ["10001:10001"]
    copied = [word for line in re.findall(r"^COPY (?!--)(.+) \S+$", dockerfile, re.MULTILINE) for word in line.split()]
    assert all((ROOT / name).exists() for name in copied)
    assert {"schemas", "pipeline", "api", "deploy"} <= set(copied)
    assert "embedded" not in re.sub(r"#.*", "", dockerfile)


def test_locks_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-runtime.lock", "requirements-build.lock"):
        assert not re.search(r"https?://|--(extra-)?index|--find-links", (ROOT / name).read_text())


def test_both_locks_agree_on_versions() -> None:
    full, runtime = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements.lock", "requirements-runtime.lock")
    )
    assert runtime
    assert {name: full.get(name) for name in runtime} == runtime


def test_every_variable_of_ours_is_a_setting() -> None:
    known = {s.variable for s in SETTINGS} | {s.variable + "_FILE" for s in SETTINGS if s.secret}
    for service in services().values():
        assert {v for v in service.get("environment", {}) if v.startswith(PREFIX)} <= known
