"""The lease of maintenance commands: held for as long as the command lives, however long its work is refused."""

from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.store import Store
from pipeline.core.effects import Effect, ReadHighestGeneration, Steps
from pipeline.errors import SinkUnavailable
from pipeline.repair import lease
from pipeline.repair.lease import LeaseTaken, leased, run_leased


class Refusing(Store):
    """Refuses the work until a claim that was not renewed would have expired, by the database's clock."""

    refused = 0

    def perform(self, effect: Effect) -> Any:
        if isinstance(effect, ReadHighestGeneration):
            self._is_held_by_nobody_else()
            if self._is_first_claim_over():
                return 0
            self.refused += 1
            raise SinkUnavailable("memory limit")
        return super().perform(effect)

    def _is_first_claim_over(self) -> bool:
        claimed = "SELECT dateDiff('second', min(claimed_at), now64(6, 'UTC')) FROM leases WHERE command = 'rebuild'"
        return int(self.rows("looking", claimed)[0][0]) > lease.LEASE_SECONDS

    def _is_held_by_nobody_else(self) -> None:
        with pytest.raises(LeaseTaken, match="`rebuild` is running"), leased(self, "erase acme"):
            pytest.fail("two at once")


def test_the_newest_claim_counts_though_older_ones_of_the_holder_were_merged_away(
    url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", -1)  # always due
    store = Store(url, "cluster", "command", 10)
    with leased(store, "rebuild") as held:
        for _ in range(3):
            held.renew()
        client.command("OPTIMIZE TABLE leases FINAL")
    with leased(store, "erase acme"):
        pass  # the first was given back


def work() -> Steps[int]:
    highest: int = yield ReadHighestGeneration()
    return highest


def test_a_lease_outlives_a_refusal_that_is_longer_than_a_claim(
    url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_SECONDS", 1)
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.1)
    store = Refusing(url, "cluster", "command", 10)
    assert run_leased(store, "rebuild", work(), lambda _: None, lambda _: None) == 0
    assert store.refused
    with leased(store, "erase acme"):
        pass  # it was given back
