"""The Kubernetes manifests fit the API's own schema and say nothing that the code does not know."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from deploy.clickhouse_server.make_users import DATABASE
from schemas.settings import API_ADMIN_PORT, WORKER_ADMIN_PORT, Settings, read_settings
from tests.support.commands import COMMANDS
from tests.support.compose import services
from tests.support.engine import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.33")
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())


def _manifests() -> dict[tuple[str, str], Any]:
    documents = (d for name in KUSTOMIZATION["resources"] for d in yaml.safe_load_all((FOLDER / name).read_text()))
    return {(document["kind"], document["metadata"]["name"]): document for document in documents}


MANIFESTS = _manifests()
WORKLOADS = {
    "migrate": MANIFESTS["Job", "migrate"],
    "worker": MANIFESTS["Deployment", "worker"],
    "api": MANIFESTS["Deployment", "api"],
    "close": MANIFESTS["CronJob", "statements-close"]["spec"]["jobTemplate"],
    "adjust": MANIFESTS["CronJob", "statements-adjust"]["spec"]["jobTemplate"],
}
WITHOUT_KAFKA = ("api", "close", "adjust")
USERS = {"close": "operator", "adjust": "operator"}
"""ClickHouse users of workloads that are called otherwise."""


def pod(name: str) -> Any:
    return WORKLOADS[name]["spec"]["template"]["spec"]


def container(name: str) -> Any:
    (only,) = pod(name)["containers"]
    return only


def settings_of(name: str, directory: Path) -> Settings:
    """The settings a container would have, its mounted files standing in a directory."""
    maps = [source["configMapRef"]["name"] for source in container(name)["envFrom"]]
    given = {variable: value for each in maps for variable, value in MANIFESTS["ConfigMap", each]["data"].items()}
    given |= {variable["name"]: variable["value"] for variable in container(name)["env"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container(name)["volumeMounts"]}
    (secret,) = (volume["secret"] for volume in pod(name)["volumes"] if "secret" in volume)
    files = [f"{mounts['secrets']}/{item['path']}" for item in secret["items"]]
    files += [f"{mounts['ca']}/{file}" for file in ("kafka.pem", "clickhouse.pem")]
    for file in files:
        place = directory / file.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"content of {place.name}")
    return read_settings({n: f"{directory}{v}" if v.startswith("/") else v for n, v in given.items()})


def test_one_list_of_topics_is_for_all_that_speak_to_kafka(tmp_path: Path) -> None:
    assert {settings_of(name, tmp_path).topics for name in ("migrate", "worker")} == {read_settings({}).topics}
    listed = [key for key, manifest in MANIFESTS.items() if "MSGMETRICS_KAFKA_TOPIC" in str(manifest)]
    assert listed == [("ConfigMap", "message-metrics-kafka")]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", MANIFESTS, ids="/".join)
def test_every_manifest_fits_the_api(key: tuple[str, str], version: str) -> None:
    kubernetes_validate.validate(MANIFESTS[key], version, strict=True)


def test_a_wrong_manifest_would_be_noticed() -> None:
    wrong = {**MANIFESTS["Service", "api"], "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_kustomize_finds_every_file_and_none_is_left_out() -> None:
    assert {*KUSTOMIZATION["resources"], "kustomization.yaml"} == {file.name for file in FOLDER.iterdir()}
    namespaces = {m["metadata"].get("namespace") for (kind, _), m in MANIFESTS.items() if kind != "Namespace"}
    assert namespaces == {KUSTOMIZATION["namespace"]}
    version = (ROOT / "pyproject.toml").read_text().split('version = "')[1].split('"')[0]
    assert [image["newTag"] for image in KUSTOMIZATION["images"]] == [version]


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_settings_of_each_process_are_complete_and_agree(name: str, tmp_path: Path) -> None:
    settings = settings_of(name, tmp_path)
    url = urlsplit(settings.clickhouse_url)
    user = USERS.get(name, name)
    assert (url.scheme, url.username, url.path) == ("https", user, f"/{DATABASE}")
    assert settings.clickhouse_password == f"content of {user}-password"
    assert settings.kafka_sasl_password.startswith("content of kafka-") is (name not in WITHOUT_KAFKA)


@pytest.mark.parametrize("name", WORKLOADS)
def test_each_process_runs_a_command_that_exists_as_a_user_without_rights(name: str) -> None:
    program, *words = container(name)["args"]
    assert program == "msgmetrics"
    command = next(command for command in COMMANDS if words[: len(command.split())] == command.split())
    COMMANDS[command].make_context(command, words[len(command.split()) :])
    own, shared = container(name)["securityContext"], pod(name)["securityContext"]
    assert own == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert shared["runAsNonRoot"] is True
    assert f"USER {shared['runAsUser']}:{shared['runAsGroup']}" in (ROOT / "deploy" / "Dockerfile").read_text()
    assert shared["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod(name)["automountServiceAccountToken"] is False
    assert (
        {"cpu", "memory"}
        == set(container(name)["resources"]["limits"])
        == set(container(name)["resources"]["requests"])
    )


@pytest.mark.parametrize(("name", "port"), [("worker", WORKER_ADMIN_PORT), ("api", API_ADMIN_PORT)])
def test_probes_and_prometheus_ask_where_health_is_served(name: str, port: int) -> None:
    ports = {p["name"]: p["containerPort"] for p in container(name)["ports"]}
    assert ports["admin"] == port
    paths = {kind: container(name)[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {get["port"] for get in paths.values()} == {"admin"}
    assert [paths[kind]["path"] for kind in ("startup", "liveness", "readiness")] == ["/livez", "/livez", "/readyz"]
    annotations = WORKLOADS[name]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port)


def test_clients_reach_the_api_through_its_service_and_nobody_reaches_a_worker(tmp_path: Path) -> None:
    service = MANIFESTS["Service", "api"]["spec"]
    labels = MANIFESTS["Deployment", "api"]["spec"]["template"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert {p["name"]: p["containerPort"] for p in container("api")["ports"]}["http"] == settings_of(
        "api", tmp_path
    ).api_port
    policies = {name: m["spec"] for (kind, name), m in MANIFESTS.items() if kind == "NetworkPolicy"}
    for name in WORKLOADS:
        matching = [p for p in policies.values() if _selects(p["podSelector"], _labels(name))]
        incoming = [rule for p in matching for rule in p.get("ingress", ()) if "from" not in rule]
        open_to_all = {port["port"] for rule in incoming for port in rule["ports"]}
        assert open_to_all == ({8000} if name == "api" else set())
        out = {port["port"] for p in matching for rule in p.get("egress", ()) for port in rule["ports"]}
        kafka = {int(settings_of("worker", tmp_path).kafka_bootstrap.rpartition(":")[2])}
        clickhouse = urlsplit(settings_of(name, tmp_path).clickhouse_url).port
        assert out == {53, clickhouse} | (set() if name in WITHOUT_KAFKA else kafka), name


def test_months_are_closed_on_the_fourth_and_adjusted_weekly_once_somebody_bills_by_them() -> None:
    jobs = {name: MANIFESTS["CronJob", f"statements-{name}"]["spec"] for name in ("close", "adjust")}
    assert {name: job["schedule"] for name, job in jobs.items()} == {"close": "0 6 4 * *", "adjust": "30 6 * * 1"}
    assert [(job["suspend"], job["timeZone"], job["concurrencyPolicy"]) for job in jobs.values()] == [
        (True, "Etc/UTC", "Forbid")
    ] * 2


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a pod selector picks a pod; of expressions it knows the one that is used."""
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "NotIn"
        if labels.get(expression["key"]) in expression["values"]:
            return False
    return bool(selector["matchLabels"].items() <= labels.items())


def _labels(name: str) -> dict[str, str]:
    found: dict[str, str] = WORKLOADS[name]["spec"]["template"]["metadata"]["labels"]
    return found


@pytest.mark.parametrize("name", ["worker", "api"])
def test_one_goes_at_a_time_when_nodes_are_drained_or_versions_change(name: str) -> None:
    deployment = MANIFESTS["Deployment", name]["spec"]
    budget = MANIFESTS["PodDisruptionBudget", name]["spec"]
    assert deployment["replicas"] >= 2
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"] == deployment["selector"]
    assert deployment["selector"]["matchLabels"].items() <= _labels(name).items()
    pause = container(name).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    assert pause == (10 if name == "api" else 0), "clients are sent to the API for a while after it was told to go"
    assert pod(name)["terminationGracePeriodSeconds"] > pause + 10, "it may take 10 s to leave"


def test_nothing_goes_out_but_to_where_the_settings_point(tmp_path: Path) -> None:
    """By namespace and port, of the cluster's DNS, ClickHouse and Kafka."""
    rules = [
        rule
        for (kind, _), policy in MANIFESTS.items()
        if kind == "NetworkPolicy"
        for rule in policy["spec"].get("egress", ())
    ]
    allowed = {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for rule in rules
        for peer in rule["to"]
        if "ipBlock" not in peer
        for port in rule["ports"]
    }
    settings = settings_of("worker", tmp_path)
    clickhouse, kafka = urlsplit(settings.clickhouse_url).netloc, settings.kafka_bootstrap
    expected = {(place.split(".")[1], int(place.rpartition(":")[2])) for place in (clickhouse, kafka)}
    assert allowed == {*expected, ("kube-system", 53)}
    blocks = {peer["ipBlock"]["cidr"] for rule in rules for peer in rule["to"] if "ipBlock" in peer}
    assert blocks == {"169.254.20.10/32"}


def test_prometheus_asks_clickhouse_where_the_settings_point(tmp_path: Path) -> None:
    file = ROOT / "deploy" / "prometheus" / "kubernetes.yml"
    jobs = {
        job["job_name"]: job["dns_sd_configs"][0]["names"] for job in yaml.safe_load(file.read_text())["scrape_configs"]
    }
    settings = settings_of("worker", tmp_path)
    assert jobs["clickhouse"] == [urlsplit(settings.clickhouse_url).hostname]
    ((exporter,), kafka) = jobs["kafka"], settings.kafka_bootstrap
    assert exporter.partition(".")[2] == kafka.partition(".")[2].partition(":")[0], "it stands beside Kafka"


def test_memory_is_as_much_as_was_measured() -> None:
    """The API stays below 400 MiB whatever strangers do, a worker takes 700 with millions of late events."""
    (measured,) = re.findall(r"with\s+millions of late events (\d+) MiB", (ROOT / "docs" / "capacity.md").read_text())
    for name, needed in (("api", 400), ("worker", int(measured))):
        memory = {kind: _mebibytes(container(name)["resources"][kind]["memory"]) for kind in ("requests", "limits")}
        assert needed == memory["requests"] <= 0.8 * memory["limits"]
        assert int(services()[name]["mem_limit"]) == memory["limits"] << 20


def _mebibytes(text: str) -> int:
    return int(text[:-2]) << {"Mi": 0, "Gi": 10}[text[-2:]]
