"""``compare --explain``: the facts behind a cell that differs, and no others."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from deploy.cli.explain import SHOWN_FACTS
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertFacts
from schemas.connection import connect
from schemas.grain import SECONDS_PER_DAY
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
        ("acme", "before", 1, 0, DAY - 1),
        ("acme", "after", 1, 0, END),
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
    assert [name in cost for name in ("c-1", "s-000", "m-1")] == [True, False, False]
    _, failed = explained("day,kind,n\nDAY,sms,0\n", columns="date=day,channel=kind,count=n", count="failed")
    assert [name in failed for name in ("f-1", "s-000")] == [True, False]
    _, over_all = explained("day,cents\nDAY,1\n", columns="date=day,cost=cents", count="")
    assert [name in over_all for name in ("c-1", "m-1")] == [True, True]


def test_json_has_the_facts(explained: Callable[..., tuple[int, str]]) -> None:
    _, out = explained("day,kind,n,cents\nDAY,sms,101,0\nDAY,mms,1,.25\n", "--json")
    (cell,) = json.loads(out, parse_float=Decimal)["differences"]
    (fact,) = cell["facts"]
    assert (fact["event_id"], fact["cost_cents"], cell["has_more_facts"]) == ("c-1", Decimal("-0.25"), False)
