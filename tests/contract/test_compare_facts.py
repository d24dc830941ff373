"""``compare --explain``: the facts behind a cell that differs, and no others."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from deploy.cli.compare import Asked, answered
from deploy.cli.comparing import Numbers
from deploy.cli.explain import SHOWN_FACTS
from deploy.cli.invoice_file import Invoice
from deploy.cli.invoice_form import Columns
from deploy.cli.zone_days import days_of
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertFacts, RaiseState, State
from schemas.connection import connect
from schemas.endpoint import Endpoint
from schemas.grain import MS_PER_SECOND, SECONDS_PER_DAY
from schemas.instant import second
from tests.support.invoices import commanded
from tests.support.stores import DAY, Case, close_all, facts

END = DAY + SECONDS_PER_DAY


@pytest.fixture
def explained(
    url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str]]:
    """Yesterday of acme, with facts: 101 sent for nothing, one failed, a charge, and a message of another channel."""
    store = Store(url, "cluster", "worker", 30)
    columns = facts(
        *(("acme", f"s-{number:03}", 1, 0, DAY) for number in range(SHOWN_FACTS + 1)),
        ("acme", "f-1", 3, 0, DAY + 60),
        ("acme", "c-1", 4, -250_000, END - 1),
        ("acme", "m-1", 1, 250_000, DAY + 60),
        *(("acme", f"before-{kind}", kind, 1_000_000, DAY - 1) for kind in (1, 3, 4)),
        *(("acme", f"after-{kind}", kind, 1_000_000, END) for kind in (1, 3, 4)),
        ("other", "o-1", 1, 0, DAY),
    )
    columns.channel[columns.event_id.index("m-1")] = "mms"
    store.perform(InsertFacts(columns))
    close_all(Case(store.perform, lambda _: {}, dict))
    connect(url).command(f"INSERT INTO watermark (as_of) VALUES (toDateTime64({END}, 3, 'UTC'))")
    compare = commanded(url, monkeypatch, capfd, tmp_path)
    span = {"start": second(DAY), "end": second(END)}

    def explained(content: str, *words: str, **asked: Any) -> tuple[int, str]:
        code, out, _ = compare(content.replace("DAY", second(DAY)[:10]), "--explain", *words, **span, **asked)
        return code, out

    return explained


def test_a_differing_cell_is_explained_down_to_its_facts(explained: Callable[..., tuple[int, str]]) -> None:
    code, out = explained("day,kind,n,cents\nDAY,sms,1,-0.25\nDAY,mms,1,0\n")
    (mms, sms), day = out.split("\n\nours of ")[1:], second(DAY)[:10]
    assert code == 1
    assert mms.startswith(f"{day} mms, {second(DAY)} to {second(END)}\n")
    assert [line.split()[1] for line in mms.splitlines()[2:3]] == ["m-1"]
    assert sms.count("message.sent") == SHOWN_FACTS
    assert "… and more" in sms
    assert not any(name in sms for name in ("f-1", "c-1", "before", "after", "o-1"))


def test_what_differs_says_which_facts_are_looked_at(explained: Callable[..., tuple[int, str]]) -> None:
    _, cost = explained("day,kind,n,cents\nDAY,sms,101,0\nDAY,mms,1,.25\n")
    assert [name in cost for name in ("c-1", "s-000", "m-1", "before", "after")] == [True, *[False] * 4]
    _, failed = explained("day,kind,n,cents\nDAY,sms,0,-.25\nDAY,mms,0,.25", count="failed")
    assert [name in failed for name in ("f-1", "s-000", "c-1", "before", "after")] == [True, *[False] * 4]
    _, over_all = explained("day,cents\nDAY,1\n", columns="date=day,cost=cents", count="")
    assert [name in over_all for name in ("c-1", "m-1")] == [True, True]


def test_two_shards_are_one_database(cluster: Endpoint) -> None:
    store = Store(cluster, "cluster", "worker", 30)
    sent = [("acme", f"e-{number}", 1, 250_000, DAY + 60 * number) for number in range(40)]
    store.perform(InsertFacts(facts(*sent)))
    close_all(Case(store.perform, lambda _: {}, dict))
    store.perform(RaiseState(State(END * MS_PER_SECOND, END * MS_PER_SECOND)))
    days = days_of(ZoneInfo("UTC"), DAY, END)
    asked = Asked("acme", days, Columns("day", "kind", "n", "cents"), "sent", 0, True)
    answer = answered(store, asked, Invoice({}, 0, 0))
    ((cell, explanation),) = answer.explanations.items()
    assert (cell, len(explanation.facts)) == ((days.all[0], "sms"), 40)
    assert answer.comparison.closed_total.ours == Numbers(40, 10_000_000)


def test_json_has_the_facts(explained: Callable[..., tuple[int, str]]) -> None:
    _, out = explained("day,kind,n,cents\nDAY,sms,101,0\nDAY,mms,1,.25\n", "--json")
    (cell,) = json.loads(out, parse_float=Decimal)["differences"]
    (fact,) = cell["facts"]
    assert (fact["event_id"], fact["cost_cents"], cell["has_more_facts"]) == ("c-1", Decimal("-0.25"), False)
