"""Alert rules and the Grafana dashboard name only metrics that exist, and the rules do what they promise."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from api.metrics import REGISTRY as API
from api.metrics import route_of
from pipeline.core.pending import MAX_PENDING_KEYS
from pipeline.metrics import REGISTRY as WORKER
from pipeline.metrics import Stage

DEPLOY = Path(__file__).parents[3] / "deploy"
CONFIGS = {name: DEPLOY / "prometheus" / f"{name}.yml" for name in ("prometheus", "kubernetes")}
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
TESTS = Path(__file__).parent / "alerts_test.yml"
DASHBOARD = DEPLOY / "grafana" / "message-metrics.json"
GIVEN_BY_PROMETHEUS = {"instance", "job", "le"}
OF_OTHERS = {
    *("up", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"),
    *("kafka_topic_partition_current_offset", "kafka_topic_partition_under_replicated_partition"),
    *(f"ClickHouseAsyncMetrics_FilesystemMainPath{part}Bytes" for part in ("Available", "Total")),
}
"""Series of Prometheus, Kubernetes, kafka-exporter and ClickHouse, as their documentation names them."""
LABELS_OF_OTHERS = {"topic", "namespace"}
SUFFIXES = {
    "counter": ("_total",),
    "gauge": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("_sum", "_count"),
}


def exported(registry: CollectorRegistry) -> set[str]:
    """Names of all series that a process may export."""
    return {family.name + suffix for family in registry.collect() for suffix in SUFFIXES[family.type]}


def labels() -> set[str]:
    names = getattr(WORKER, "_collector_to_names") | getattr(API, "_collector_to_names")  # noqa: B009
    return {label for collector in names for label in getattr(collector, "_labelnames", ())}


def expressions() -> Iterator[str]:
    yield from re.findall(r"expr: (?:>-\n)?((?:.|\n)*?)\n +(?:for|labels):", ALERTS.read_text())
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_the_expressions_are_found() -> None:
    assert len(list(expressions())) >= 22 + 20


@pytest.mark.parametrize("expression", list(expressions()))
def test_an_expression_names_metrics_and_labels_that_exist(expression: str) -> None:
    names = set(re.findall(r"\b(?:msgmetrics|kafka|kubelet|ClickHouse\w+?)_\w+|\bup\b", expression))
    assert names
    assert names <= exported(WORKER) | exported(API) | OF_OTHERS
    used = {name for group in re.findall(r"by \(([^)]*)\)", expression) for name in group.split(", ")}
    used |= set(re.findall(r"[{,](\w+)=", expression))
    assert used <= labels() | GIVEN_BY_PROMETHEUS | LABELS_OF_OTHERS


def test_the_unit_tests_of_the_rules_try_every_alert() -> None:
    alerts = re.findall(r"alert: (\w+)", ALERTS.read_text())
    tried = re.findall(r'alertname(?:=~?"|: )([\w.*|]+)', TESTS.read_text())
    patterns = [pattern for text in tried for pattern in text.split("|")]
    assert not [alert for alert in alerts if not any(re.fullmatch(pattern, alert) for pattern in patterns)]


def test_every_metric_has_a_help_text_and_every_own_one_is_shown_or_alerted_on() -> None:
    shown = set(re.findall(r"msgmetrics_\w+", " ".join(expressions())))
    for family in [*WORKER.collect(), *API.collect()]:
        assert family.documentation.strip()
        if family.name.startswith("msgmetrics_"):
            assert {family.name + suffix for suffix in SUFFIXES[family.type]} & shown or family.name in UNSHOWN


UNSHOWN = {
    "msgmetrics_worker_partition_next_offset",
    "msgmetrics_worker_partition_log_end_offset",
    "msgmetrics_worker_erased_records",
}
"""For questions that somebody asks by hand."""


def test_series_of_known_labels_are_there_before_anything_happened() -> None:
    for stage in Stage:
        assert WORKER.get_sample_value("msgmetrics_worker_stage_seconds_count", {"stage": stage}) is not None
    assert WORKER.get_sample_value("msgmetrics_worker_dead_letters_total", {"reason": "empty"}) is not None


def test_made_up_paths_cannot_make_up_series() -> None:
    assert {route_of(path) for path in ("/x", "/v1/metrics/messages/", "/../etc")} == {"other"}
    assert route_of("/assets/whatever") == "/assets/"
    assert route_of("/v1/metrics/messages") == "/v1/metrics/messages"


def promtool(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool; on Debian: apt-get install prometheus")
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60, check=False)


def test_promtool_accepts_the_rules() -> None:
    found = promtool("check", "rules", ALERTS)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("file", CONFIGS.values(), ids=CONFIGS)
def test_promtool_accepts_what_is_scraped(file: Path) -> None:
    found = promtool("check", "config", "--syntax-only", file)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_same_jobs_are_on_the_same_ports_wherever_prometheus_runs() -> None:
    """An alert goes by a job's name; our own pods are found on Kubernetes by their annotations."""
    ports: dict[str, dict[str, int]] = {
        name: {
            job["job_name"]: job["dns_sd_configs"][0]["port"] for job in yaml.safe_load(f.read_text())["scrape_configs"]
        }
        for name, f in CONFIGS.items()
    }
    assert ports["kubernetes"] == {name: ports["prometheus"][name] for name in ("clickhouse", "kafka")}
    assert set(re.findall(r'job="(\w+)"', ALERTS.read_text())) <= ports["kubernetes"].keys()


def test_a_threshold_is_a_share_of_the_limit_that_it_warns_of() -> None:
    (recomputes,) = re.findall(r"pending_recomputes > (\d+)", ALERTS.read_text())
    assert int(recomputes) == MAX_PENDING_KEYS // 2


def test_each_alert_fires_when_it_should_and_not_before() -> None:
    found = promtool("test", "rules", TESTS)
    assert found.returncode == 0, found.stdout + found.stderr


def test_the_grafana_dashboard_is_whole() -> None:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text())
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "prometheus"
