"""Charges and credits on a real engine: exact from the text of an event to every answer, in every grain and group."""

import csv
import json
from collections import defaultdict
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api.app import create_app
from api.reader import Reader
from deploy.cli.accounts import create_key, set_tier
from deploy.cli.explain import explain_bucket
from pipeline.clickhouse import store as statements
from pipeline.clickhouse.store import Store
from pipeline.core.decode import decode_batch
from pipeline.core.effects import CloseBuckets, InsertFacts, RaiseState, RebuildBuckets, State
from pipeline.core.late import late_keys
from pipeline.core.protocol import recompute_steps
from pipeline.core.records import Columns
from pipeline.repair.reconcile import Reconciler
from pipeline.runner import drive
from schemas.connection import connect
from schemas.grain import Grain
from schemas.instant import second
from schemas.message_event import CHARGED, DELIVERED, FAILED, OTHER_KEY, SENT
from schemas.tiers import Tier
from tests.support.endpoint import NOW as NOW_OF_KEYS
from tests.support.endpoint import PATH, CheckedClient, Clock
from tests.support.places import P0
from tests.support.record import Record
from tests.support.stores import DAY, NOW, Case, close_all, facts, real

DAY_END = DAY + Grain.DAY.seconds
EDGES = ("999999999999.999999", "-999999999999.999999", "0.000001", "-0.000001", "-0", "0", "-12.5")
ANSWERED = ["0" if cost == "-0" else cost for cost in EDGES] * 2
KINDS = {SENT: "sent", DELIVERED: "delivered", FAILED: "failed", CHARGED: "charged"}


@pytest.fixture
def store(url: str) -> Store:
    return Store(url, "cluster", "worker", 30)


def decoded(*costs: str) -> Columns:
    """A charge a minute with these costs, as they stand in the JSON of a record."""
    rows, records = Columns(), []
    for number, cost in enumerate(costs):
        event = {"event_id": f"{number}", "type": "message.charged", "org_id": "a", "channel": "sms"}
        text = json.dumps({**event, "occurred_at": second(DAY + 60 * number), "cost_cents": "COST"})
        records.append(Record(number, text.replace('"COST"', cost).encode(), NOW * 1000))
    assert decode_batch(P0, records, NOW * 1000, 0, 0, rows).letters == []
    return rows


def test_a_cost_of_either_sign_is_the_same_from_an_events_text_to_every_answer(url: str, store: Store) -> None:
    store.perform(InsertFacts(decoded(*(f'"{cost}"' for cost in EDGES), *EDGES)))  # as texts and as JSON numbers
    close_all(real(url))
    store.perform(RaiseState(State(as_of_ms=NOW * 1000)))
    client = connect(url)
    stored = client.query("SELECT toString(cost_cents) FROM rollup_minute FINAL ORDER BY bucket").result_rows
    assert [text for (text,) in stored] == ANSWERED
    set_tier(client, "a", Tier.SCALE)
    key = create_key(client, "a", ("metrics:read",), None, NOW_OF_KEYS)
    app = create_app(Reader(url), lambda: NOW * 1000, Clock())
    query = {"metric": "cost_cents", "granularity": "minute", "from": second(DAY)}
    query["to"] = second(DAY + 60 * len(ANSWERED))
    with CheckedClient(app) as http:

        def answer(media_type: str) -> str:
            headers = {"Authorization": f"Bearer {key}", "Accept": media_type}
            return str(http.get(PATH, params=query, headers=headers).text)

        in_json = json.loads(answer("application/json"), parse_float=str, parse_int=str)["data"]["buckets"]
        lines = [json.loads(x, parse_float=str, parse_int=str) for x in answer("application/x-ndjson").splitlines()]
        rows = list(csv.DictReader(answer("text/csv").splitlines()))
    assert [[bucket["value"] for bucket in found] for found in (in_json, lines, rows)] == [ANSWERED] * 3


Pair = tuple[str, str]
EVENT = st.tuples(
    st.sampled_from(list(KINDS)),
    st.sampled_from(["sms", "email", "mms", "rcs"]),
    st.sampled_from(["", "E1", "E2"]),
    st.integers(-(10**18) + 1, 10**18 - 1) | st.sampled_from([0, 1, -1, 5, -5]),
    st.sampled_from([0, 1, 59, 60, 61, 23 * 60]),  # minutes of the day
)


@given(events=st.lists(EVENT, min_size=1, max_size=25), max_pairs=st.integers(1, 6), late=st.integers(0, 5))
@example(events=[(CHARGED, channel, "", 0, 0) for channel in ("sms", "email", "mms")], max_pairs=1, late=1)
@example(
    events=[
        (SENT, "rcs", "", 1, 0),
        (SENT, "rcs", "", 1, 60),
        (CHARGED, "sms", "", 5, 0),
        (CHARGED, "sms", "", -5, 60),
    ],
    max_pairs=1,
    late=2,
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_totals_are_the_sum_of_their_groups_and_a_recount_whatever_is_folded(
    module_url: str, monkeypatch: pytest.MonkeyPatch, events: list[Any], max_pairs: int, late: int
) -> None:
    """For facts of every type, some of which come after their buckets were computed once."""
    monkeypatch.setattr(statements, "MAX_PAIRS", max_pairs)
    org, store = f"org-{next(NUMBERS)}", Store(module_url, "cluster", "worker", 30)
    rows = facts(*((org, f"{n}", e[0], _cost(e), DAY + 60 * e[4]) for n, e in enumerate(events)))
    rows.channel[:] = [channel for _, channel, *_ in events]
    rows.error_code[:] = [code if kind == FAILED else "" for kind, _, code, *_ in events]
    store.perform(InsertFacts(rows.only([n >= late for n in range(len(rows))])))
    for grain in Grain:
        store.perform(CloseBuckets(grain, DAY, DAY_END, 0))
    store.perform(RaiseState(State(closing_ms=NOW * 1000)))
    later = rows.only([n < late for n in range(len(rows))])
    store.perform(InsertFacts(later))
    drive(recompute_steps(str(uuid4()), late_keys(later.occurred_ms, later.org_id, 0, NOW * 1000)), store.perform)
    for grain in Grain:
        expected: dict[int, dict[Pair, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0, 0, 0]))
        for kind, channel, code, _, minute in events:
            expected[grain.floor(DAY + 60 * minute)][channel, code if kind == FAILED else ""][kind - SENT] += 1
        for event in events:
            pair = event[1], event[2] if event[0] == FAILED else ""
            expected[grain.floor(DAY + 60 * event[4])][pair][4] += _cost(event)
        found = _read(module_url, grain, org)
        assert found.keys() == expected.keys()
        for bucket, (totals, groups, fact_count) in found.items():
            whole = [sum(numbers) for numbers in zip(*expected[bucket].values(), strict=True)]
            assert totals == whole
            assert [sum(numbers) for numbers in zip(*groups.values(), strict=True)] == whole
            assert fact_count == sum(whole[:4])
            assert len(groups) <= max_pairs + 2
            if len(expected[bucket]) <= max_pairs:
                assert groups == expected[bucket]
    assert Reconciler(store, org, lambda _: None).run(DAY, DAY_END).differences == []


NUMBERS = count()


def test_the_pairs_that_a_bucket_keeps_are_those_of_most_facts_and_charges_are_facts(
    module_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a channel of many charges would vanish among the others behind one of a single message."""
    monkeypatch.setattr(statements, "MAX_PAIRS", 1)
    org, store = f"org-{next(NUMBERS)}", Store(module_url, "cluster", "worker", 30)
    rows = facts((org, "1", SENT, 1, DAY), (org, "2", CHARGED, 5, DAY), (org, "3", CHARGED, -5, DAY))
    rows.channel[:] = ["email", "sms", "sms"]
    store.perform(InsertFacts(rows))
    for grain in Grain:
        store.perform(CloseBuckets(grain, DAY, DAY_END, 0))
        ((_, groups, _),) = _read(module_url, grain, org).values()
        assert groups == {("sms", ""): [0, 0, 0, 2, 0], (OTHER_KEY, ""): [1, 0, 0, 0, 1]}


def _cost(event: Any) -> int:
    return int(event[3]) if event[0] == CHARGED else abs(int(event[3]))


def _read(url: str, grain: Grain, org: str) -> dict[int, tuple[list[int], dict[Pair, list[int]], int]]:
    """By bucket the totals, the numbers of each pair, and how many facts there are; costs in millionths."""
    names = "sent", "delivered", "failed", "charged", "cost_cents"
    columns = ", ".join(["channel", "error_code", *names])
    rows = connect(url).query(
        f"SELECT toUnixTimestamp(bucket), facts, {', '.join(names)}, "
        f"{', '.join(f'groups.{name}' for name in columns.split(', '))} FROM rollup_{grain} FINAL "
        "WHERE org_id = {org:String}",
        parameters={"org": org},
    )
    found = {}
    for bucket, fact_count, *rest in rows.result_rows:
        totals, (channels, codes, *grouped) = rest[:5], rest[5:]
        pairs = [[*map(_micros, numbers)] for numbers in zip(*grouped, strict=True)]
        assert len(set(zip(channels, codes, strict=True))) == len(pairs), "no pair twice"
        found[bucket] = (
            [*map(_micros, totals)],
            dict(zip(zip(channels, codes, strict=True), pairs, strict=True)),
            fact_count,
        )
    return found


def _micros(number: int | Decimal) -> int:
    return int(number * 10**6) if isinstance(number, Decimal) else number


def test_a_charge_never_takes_the_place_of_the_event_with_its_id_and_minute(case: Case) -> None:
    case.perform(InsertFacts(facts(("a", "1", SENT, 75, DAY), ("a", "1", CHARGED, -5, DAY))))
    close_all(case)
    assert case.totals(Grain.DAY) == {("a", DAY): (1, 0, 0, 70, 2)}


def test_a_bucket_of_charges_alone_has_a_row_and_outranks_one_of_fewer(case: Case) -> None:
    """Else the second charge would be a correction that loses against the first."""
    for number in range(3):
        case.perform(InsertFacts(facts(("a", f"{number}", CHARGED, 5 - 5 * number, DAY))))
        close_all(case)
    for grain in Grain:
        assert case.totals(grain) == {("a", DAY): (0, 0, 0, 0, 3)}


def test_a_wrong_number_of_charges_is_a_difference_in_the_totals_and_in_the_groups(url: str, store: Store) -> None:
    store.perform(InsertFacts(facts(("a", "1", CHARGED, -5, DAY), ("a", "2", SENT, 5, DAY))))
    close_all(real(url))
    store.perform(RaiseState(State(as_of_ms=NOW * 1000)))
    reconciler = Reconciler(store, "", lambda _: None)
    assert reconciler.run(DAY, DAY_END).differences == []
    connect(url).command(
        "ALTER TABLE rollup_day UPDATE charged = 2, `groups.charged` = [2] WHERE 1 SETTINGS mutations_sync = 1"
    )
    found = [(d.field, d.expected, d.found) for d in reconciler.run(DAY, DAY_END).differences]
    assert found == [("charged", 1, 2), ("groups[sms,].charged", 1, 2)]
    store.perform(RebuildBuckets(Grain.DAY, DAY, DAY_END, 1))
    assert reconciler.run(DAY, DAY_END).differences == []


def test_explain_tells_charges_apart(url: str, store: Store) -> None:
    store.perform(InsertFacts(facts(("a", "price", CHARGED, -1_500_000, DAY), ("a", "message", SENT, 750_000, DAY))))
    close_all(real(url))
    store.perform(RaiseState(State(as_of_ms=NOW * 1000)))
    lines = explain_bucket(store, "a", DAY, Grain.DAY, "charged")
    assert "charged 1" in lines
    assert [line for line in lines if "price" in line or "message " in line] == [lines[-1]]
    assert " -1.5  " in lines[-1]
    assert {"sent 1", "charged 1", "cost_cents -0.75"} <= set(explain_bucket(store, "a", DAY, Grain.DAY, ""))
