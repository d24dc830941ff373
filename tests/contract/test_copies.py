"""A copy that is kept by asking what has changed equals the whole answer, whatever happened between the questions.

On the engine itself, through the protocol and the endpoint. No statement is under way while another is asked here, so
that the copies are kept without a margin: else all that a test does would be listed again for ten minutes.
"""

import itertools
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from api.app import create_app
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from pipeline.clickhouse.store import Store
from pipeline.core.effects import CloseBuckets, Effect, InsertFacts, WriteResync
from pipeline.core.erasure import order_erasure_steps
from pipeline.core.late_keys import LateKeys
from pipeline.core.progress import Progress
from pipeline.core.protocol import progress_steps, rebuild_steps, recompute_steps, roll_steps
from pipeline.errors import TooMuchAtOnce
from pipeline.runner import drive
from schemas.grain import Grain
from schemas.instant import second, wall_clock_ms
from schemas.tables import RESYNCS
from schemas.tiers import Tier
from tests.support.copying import KeptCopy
from tests.support.endpoint import NOW, request
from tests.support.places import P0, TOPIC
from tests.support.recount import exact_json
from tests.support.stores import DAY, facts
from tests.support.system import wait_until

ORGS = ("a", "b")
HOUR = Grain.HOUR.seconds
REAL_NOW = wall_clock_ms() // 1000
START, NOW_AHEAD = Grain.HOUR.floor(REAL_NOW) - 5 * HOUR, REAL_NOW + 2 * HOUR
WINDOW = {"metric": "sent", "from": second(START), "to": second(START + 7 * HOUR)}


Event = tuple[str, str, int, int, int]
"""(organization, event id, type, cost, epoch seconds)"""


class Scene:
    """Five hours that are closed up to now, and copies of them in every grain, grouped and not."""

    def __init__(self, url: str, client: Client, seed: int) -> None:
        self.store, self.random, self.events = Store(url, "cluster", "worker", 10), random.Random(seed), 0
        self.perform: Callable[[Effect], Any] = self.store.perform
        app = create_app(Reader(url), wall_clock_ms, itertools.count().__next__)  # no answer is reused
        self._http = TestClient(app)
        self._keys = {}
        for org in ORGS:
            set_tier(client, org, Tier.SCALE)
            self._keys[org] = create_key(client, org, ("metrics:read",), None, NOW)
        client.command(f"TRUNCATE TABLE {RESYNCS}")  # the migration's would have everything listed
        self.copies = [
            (org, KeptCopy(**WINDOW, granularity=grain, **groups))
            for org in ORGS
            for grain in Grain
            for groups in ({}, {"group_by": "channel"})
        ]
        self.roll()
        self.arrive()

    def ask(self, org: str, query: Mapping[str, str]) -> Any:
        query = {"limit": str(self.random.choice((50, 5000))), **query}
        answer = request(self._http, self._keys[org], query=urlencode(query))
        assert answer.status_code == 200, answer.text
        return exact_json(answer.text)

    def ask_up_to(self, hours: int, org: str, query: Mapping[str, str]) -> Any:
        """As whoever copies up to the last midnight, or has a clock that is behind."""
        return self.ask(org, query if "cursor" in query else {**query, "to": second(START + hours * HOUR)})

    def sync(self, share: float = 1.0) -> None:
        """Bring each copy up to date: some of them up to any hour, or all up to the end."""
        for org, copy in self.copies:
            if self.random.random() < share:
                hours = 7 if share == 1.0 else self.random.randint(1, 7)
                copy.sync(partial(self.ask_up_to, hours, org))

    @property
    def problems(self) -> list[str]:
        found = [copy.problem(partial(self.ask, org)) for org, copy in self.copies]
        return [problem for problem in found if problem]

    def roll(self) -> None:
        drive(progress_steps([Progress(P0, 0, wall_clock_ms())], 0), self.perform)
        drive(roll_steps({TOPIC}, {TOPIC: {P0}}), self.perform)

    def arrive(self) -> None:
        """Late events of closed minutes."""
        rows = []
        for _ in range(self.random.randint(1, 3)):
            self.events += 1
            at = self.random.randrange(START, START + 5 * HOUR - 60)
            rows.append((self.random.choice(ORGS), f"e{self.events}", self.random.randint(1, 4), 5, at))
        self.count(rows)

    def count(self, rows: Sequence[Event]) -> None:
        self.perform(InsertFacts(facts(*rows)))
        keys = LateKeys.of(np.array([at // 60 for *_, at in rows]), [org for org, *_ in rows])
        drive(recompute_steps(str(uuid.uuid4()), keys), self.perform)

    def pass_a_second(self) -> None:
        """Wait until `as_of` is in another second than now."""
        began_ms = self.store.clock_ms()
        wait_until("the next second", lambda: self.store.clock_ms() // 1000 > began_ms // 1000, 5)
        self.roll()

    def rebuild(self) -> None:
        drive(rebuild_steps(START, START + 5 * HOUR), self.perform)

    def erase(self) -> None:
        drive(order_erasure_steps(self.random.choice(ORGS), wall_clock_ms()), self.perform)


@pytest.fixture(autouse=True)
def _nothing_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.changes.MARGIN_SECONDS", 0)


@pytest.mark.parametrize("seed", range(2))
def test_copies_equal_the_whole_after_any_history(url: str, client: Client, seed: int) -> None:
    scene = Scene(url, client, seed)
    for _ in range(12):
        scene.random.choice([scene.arrive, scene.arrive, scene.roll, scene.rebuild, scene.erase])()
        scene.sync(share=0.3)
    scene.sync()
    assert scene.problems == []


def test_what_ends_behind_the_window_is_listed_once_the_window_has_moved_on(url: str, client: Client) -> None:
    scene, org = Scene(url, client, 0), ORGS[0]
    copy = KeptCopy(**WINDOW, granularity="minute")
    for hours in (2, 4, 3, 7):
        copy.sync(partial(scene.ask_up_to, hours, org))
        scene.arrive()
        scene.pass_a_second()
    copy.sync(partial(scene.ask, org))
    assert copy.problem(partial(scene.ask, org)) is None


def test_only_what_has_changed_is_listed(url: str, client: Client) -> None:
    """Else all of the above would hold where every bucket is listed every time."""
    scene = Scene(url, client, 0)
    org, copy = scene.copies[0]
    copy.sync(partial(scene.ask, org))
    assert copy.listed >= 5 * 60
    scene.pass_a_second()
    copy.sync(partial(scene.ask, org))
    copy.listed = 0
    scene.arrive()
    copy.sync(partial(scene.ask, org))
    assert copy.listed <= 3 + 1, "three late events at most, and a minute that may have ended"


def test_what_changes_while_pages_are_read_is_listed_by_the_next_question(url: str, client: Client) -> None:
    """What to ask with next time is of before the first page, whatever the last one sees."""
    scene, org = Scene(url, client, 0), ORGS[0]
    copy = KeptCopy(**WINDOW, granularity="minute")
    pages = 0

    def ask(query: Mapping[str, str]) -> Any:
        nonlocal pages
        if pages == 1:
            scene.count([(org, "in between", 1, 5, START)])
            scene.pass_a_second()
        pages += 1
        return scene.ask(org, {**query, "limit": "100"})

    copy.sync(ask)
    assert (copy.buckets[second(START)], pages > 2) == (0, True)
    copy.sync(partial(scene.ask, org))
    assert (copy.buckets[second(START)], copy.problem(partial(scene.ask, org))) == (1, None)


def test_an_erasure_tells_copies_what_no_row_is_left_to_tell(url: str, client: Client) -> None:
    scene = Scene(url, client, 0)
    scene.sync()
    scene.perform = lambda effect: None if isinstance(effect, WriteResync) else scene.store.perform(effect)
    for org in ORGS:
        drive(order_erasure_steps(org, wall_clock_ms()), scene.perform)
    scene.sync()
    assert len(scene.problems) == len({org for org, copy in scene.copies if any(copy.buckets.values())}) * 6
    scene.perform = scene.store.perform
    for org in ORGS:
        drive(order_erasure_steps(org, wall_clock_ms()), scene.perform)
    scene.sync()
    assert scene.problems == []


def test_what_took_longer_than_any_insert_may_is_too_much_at_once_though_it_was_taken(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows were seen later than their time says."""
    store = Store(url, "cluster", "worker", 10)
    closing = CloseBuckets(Grain.MINUTE, DAY, DAY + 120, 0)
    store.perform(closing)
    monkeypatch.setattr("pipeline.clickhouse.store.LONGEST_INSERT_SECONDS", -1)
    with pytest.raises(TooMuchAtOnce, match=r"closing buckets took 0 s, longer than any insert may; doing it again"):
        store.perform(closing)


def test_a_row_has_the_time_at_which_its_statement_began(client: Client) -> None:
    """So who asked before it ended may not have it, however new it looks: the margin covers how long that takes."""
    client.command(
        "INSERT INTO rollup_minute (org_id, bucket, rank_sum) SELECT 'a', toDateTime(60 * number, 'UTC'), sleep(0.3) "
        "FROM numbers(3) SETTINGS max_block_size = 1, min_insert_block_size_rows = 1"
    )
    asked = "SELECT dateDiff('ms', max(computed_at), now64(3)) FROM rollup_minute"
    assert client.query(asked).result_rows[0][0] >= 3 * 300


def test_where_the_clock_fell_one_resync_lists_everything_until_it_has_caught_up(url: str, client: Client) -> None:
    """`as_of` is ahead of the clock by two hours: no time that a reader was given is later than it."""
    store, client_now = Store(url, "cluster", "worker", 10), wall_clock_ms()
    client.command(f"TRUNCATE TABLE {RESYNCS}")
    client.command(f"INSERT INTO watermark (as_of) VALUES ('{datetime.fromtimestamp(NOW_AHEAD, UTC):%F %T}')")
    assert client_now < NOW_AHEAD * 1000
    for _ in range(3):
        drive(roll_steps({TOPIC}, {TOPIC: {P0}}), store.perform)
    found = client.query(f"SELECT org_id, toUnixTimestamp(at) FROM {RESYNCS}").result_rows
    assert found == [("", NOW_AHEAD)], "once is enough"
    _, now_ms, resynced_ms = Reader(url).moment("a")
    assert resynced_ms == NOW_AHEAD * 1000 > now_ms
