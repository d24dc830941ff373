"""What is staged for a piece of work lives as long as the work: its table forgets it by the database's clock."""

from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from pipeline.clickhouse.store import Store
from pipeline.clock import this_moment
from pipeline.core.effects import CountStaged, Effect, InsertFacts, RaiseState, RecomputeLate, StageKeys, State
from pipeline.core.flush import Chunk
from pipeline.core.late_keys import LateKeys
from pipeline.core.protocol import recompute_steps
from pipeline.repair.replay_forecast import DryRun, Forecast, IdentitiesGone
from pipeline.repair.replay_reading import Wanted
from pipeline.runner import drive
from schemas.endpoint import Endpoint
from schemas.grain import Grain
from schemas.settings import read_settings
from schemas.sharding import alter_target
from tests.support.stores import DAY, close_all, facts, real

BATCH = "0f2f3c1e-0000-4000-8000-000000000001"
KEYS = LateKeys.listed((DAY // 60, "a"), (DAY // 60, "b"), (DAY // 60 + 1, "a"))
ALL = {("a", DAY): 2, ("b", DAY): 1}


def hours_pass(client: Client, hours: int, table: str) -> None:
    """What is in a table is so much older, and what is too old is gone as it goes by itself: by a merge."""
    client.command(
        f"ALTER TABLE {table} UPDATE created_at = created_at - toIntervalHour({hours}) WHERE 1 "
        "SETTINGS mutations_sync = 2"
    )
    client.command(f"OPTIMIZE TABLE {table} FINAL")


@pytest.mark.parametrize("grain", Grain)
def test_late_events_count_though_a_recompute_was_refused_for_longer_than_its_keys_are_kept(
    url: str, client: Client, grain: Grain
) -> None:
    case, refused = real(url), 0
    case.perform(InsertFacts(facts(("a", "1", 1, 0, DAY))))
    close_all(case)
    case.perform(RaiseState(State(closing_ms=(DAY + Grain.DAY.seconds) * 1000)))
    case.perform(InsertFacts(facts(("a", "2", 1, 0, DAY + 60), ("b", "3", 1, 0, DAY))))

    def perform(effect: Effect) -> Any:
        nonlocal refused
        if isinstance(effect, RecomputeLate) and effect.grain is grain and not refused:
            refused += 1
            hours_pass(client, 2, "recompute_keys")
        return case.perform(effect)

    drive(recompute_steps(BATCH, KEYS), perform)
    assert refused
    assert {key: row[4] for key, row in case.totals(Grain.DAY).items()} == ALL
    assert {key: row[4] for key, row in case.totals(Grain.HOUR).items()} == ALL


def test_keys_count_once_and_only_while_no_statement_can_outlive_them(url: str, client: Client) -> None:
    case = real(url)
    for _ in range(2):  # as when an answer was lost
        case.perform(StageKeys(BATCH, KEYS))
    assert case.perform(CountStaged(BATCH)) == len(KEYS)
    client.command(
        "ALTER TABLE recompute_keys UPDATE created_at = created_at - 1800 WHERE org_id = 'b' "
        "SETTINGS mutations_sync = 2"
    )
    assert case.perform(CountStaged(BATCH)) == len(KEYS) - 1, "it is there, and may be gone for the next statement"
    assert case.perform(CountStaged(BATCH.replace("1", "2"))) == 0


def dry_run(target: str | Endpoint) -> DryRun:
    store = Store(target, "cluster", "replay", 30)
    return DryRun(read_settings({}), Wanted(0, 1), this_moment, {}, None, store)


def met(*events: str) -> Chunk:
    return Chunk(columns=facts(*(("a", event, 1, 0, DAY) for event in events)))


def test_a_dry_run_of_days_knows_in_its_end_what_it_met_in_its_beginning(url: str, client: Client) -> None:
    looking = dry_run(url)
    looking.store.perform(InsertFacts(facts(("a", "stored", 1, 0, DAY))))
    looking.look_at(met("stored", "new", "new"), {}, Forecast())
    hours_pass(client, 6 * 24, "replay_keys")
    looking.look_at(met("new", "newer"), {}, Forecast())
    assert looking.count_new(5) == 2
    hours_pass(client, 2 * 24, "replay_keys")
    with pytest.raises(IdentitiesGone, match="shorter spans"):
        looking.count_new(5)


@pytest.mark.parametrize("target", ["url", "cluster"])
def test_a_dry_run_that_has_ended_leaves_nothing_behind(target: str, request: pytest.FixtureRequest) -> None:
    looking, other = dry_run(request.getfixturevalue(target)), dry_run(request.getfixturevalue(target))
    for run in (looking, other):
        run.look_at(met("1", "2"), {}, Forecast())
    looking.forget()
    everywhere = alter_target("replay_keys", looking.store.endpoint.cluster)
    looking.store.write("waiting", f"ALTER TABLE {everywhere} DELETE WHERE 0 SETTINGS mutations_sync = 2")
    assert other.count_new(2) == 2
    with pytest.raises(IdentitiesGone):
        looking.count_new(2)
