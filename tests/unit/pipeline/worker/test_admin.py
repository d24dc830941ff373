"""Who gets to see what on the admin port."""

import asyncio
import signal
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from pipeline.worker.admin import AdminServer, admin_app
from pipeline.worker.operations import Operations


class Nothing:
    """Operations of which there are none."""

    def now(self) -> dict[str, Any]:
        return {"partitions": []}

    def stored(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def http() -> TestClient:
    return TestClient(admin_app(list, CollectorRegistry(), cast("Operations", Nothing())))


OWN = ["127.0.0.1", "127.0.0.1:9464", "10.0.0.7:9464", "[::1]", "[::1]:9464", "localhost:9464", "worker", "worker:9464"]
STRANGE = ["rebound.example", "rebound.example:9464", "127.0.0.1.example:9464", "localhost.example", "1.2.3.4.5:9464"]


@pytest.mark.parametrize("path", ["/", "/operations.json", "/page/index.html"])
def test_records_are_shown_only_under_a_name_of_this_machines_own(http: TestClient, path: str) -> None:
    for host in OWN:
        assert http.get(path, headers={"Host": host}).status_code == 200, host
    for host in STRANGE:
        refused = http.get(path, headers={"Host": host})
        assert (refused.status_code, refused.text.startswith("this page is for addresses")) == (421, True), host


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_probes_and_prometheus_may_use_any_name(http: TestClient, path: str) -> None:
    assert http.get(path, headers={"Host": "worker.metrics.svc.cluster.local:9464"}).status_code == 200


def test_signals_are_left_to_the_worker_which_is_asked_for_its_health_until_it_has_left() -> None:
    async def story() -> bool:
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        is_ours = signal.getsignal(signal.SIGTERM) is handler
        server.should_exit = True
        await serving
        return is_ours

    def handler(*_: Any) -> None:
        """The worker's."""

    server = AdminServer(admin_app(list, CollectorRegistry(), cast("Operations", Nothing())), "127.0.0.1", 0)
    before = signal.signal(signal.SIGTERM, handler)
    try:
        assert asyncio.run(story())
    finally:
        signal.signal(signal.SIGTERM, before)
