"""Costs below zero on the page: the oracle's numbers with their signs, and nothing that looks like its opposite."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import PHONE, WIDE, visit
from tests.browser.dashboard import asked, card, card_words, cards, choose, number, settled, trace, traces
from tests.browser.oracle import CHANNELS, METRICS, Oracle
from tests.browser.site import Site

COST = "/#metric=cost_cents"
HEIGHTS = """() => {
    const box = selector => document.querySelector(`#plot ${selector}`).getBoundingClientRect();
    const bars = [...document.querySelectorAll('#plot .barlayer .trace.bars')];
    const hatched = bars.map(bar => bar.querySelector('path')).filter(path => path?.style.fill.includes('url'));
    return [box('.nsewdrag').height, hatched[0].getBoundingClientRect().height];
}"""


BARS = """() => document.getElementById('plot').calcdata.slice(0, -1).flat()
    .filter(bar => 'b' in bar && bar.s).map(bar => [bar.b, bar.s])"""
"""Where each bar begins and how far it reaches, by plotly's own account; the last trace is what is pending."""


def numbers(values: list[Decimal | None]) -> list[float | None]:
    return [None if value is None else float(value) for value in values]


def check_both_periods(page: Page, oracle: Oracle, window: tuple[str, int, int]) -> tuple[Decimal, Decimal]:
    """The card has both sums, the caption tells them as balances."""
    now, before = oracle.total("cost_cents", *window), oracle.prior_total("cost_cents", *window)
    assert card(page, "cost_cents") == now
    words = card_words(page, "cost_cents").replace("−", "-")
    assert f"{before.normalize():,f}\u00a0¢ in the prior period" in words
    told = [f"{abs(value).normalize():,f}\u00a0¢ {'credited' if value < 0 else 'charged'}" for value in (now, before)]
    expect(page.locator("#chart-caption")).to_contain_text(f"On balance {told[0]}, against {told[1]} in the prior")
    return now, before


@pytest.mark.parametrize("org", ["credited", "refunded"])
@pytest.mark.parametrize("range", ["24 h", "7 d", "30 d"])
def test_the_cards_show_balances_and_a_difference_in_place_of_a_percentage(
    browser: Browser, site: Site, org: str, range: str
) -> None:
    with visit(browser, site.url + COST, key=site.new_key(org)) as at:
        choose(at, "range", range)
        window = asked(at, metric="cost_cents", compare_to="prior_period")
        assert cards(at.page) == {metric: site.oracles[org].total(metric, *window) for metric in METRICS}
        now, before = check_both_periods(at.page, site.oracles[org], window)
        assert ("%" in card_words(at.page, "cost_cents")) == (now >= 0 and before > 0)
        assert ("lower" in card_words(at.page, "cost_cents")) == (now < before and min(now, before) < 0)


@pytest.mark.parametrize(
    ("name", "size", "scheme"),
    [("wide", WIDE, "light"), ("dark", WIDE, "dark"), ("phone", PHONE, "light"), ("phone-dark", PHONE, "dark")],
)
def test_costs_are_stacked_upwards_and_credits_downwards(
    browser: Browser, site: Site, name: str, size: tuple[int, int], scheme: str
) -> None:
    oracle = site.oracles["credited"]
    with visit(browser, f"{site.url}{COST}&group=channel", size, scheme, key=site.new_key("credited")) as at:
        settled(at.page)
        at.page.locator("#plot .barlayer .point").first.wait_for(state="attached")
        window = asked(at, metric="cost_cents", group_by="channel")
        drawn = {one["name"]: one["y"] for one in traces(at.page)}
        for channel in CHANNELS:
            assert drawn[channel] == numbers(oracle.values("cost_cents", *window, channel=channel))
        lowest, highest = at.page.evaluate("document.getElementById('plot').layout.yaxis.range")
        stacks = zip(*(drawn[channel] for channel in CHANNELS), strict=True)
        columns = [[value or 0 for value in column] for column in stacks]
        assert lowest <= min(sum(value for value in column if value < 0) for column in columns) < 0
        assert highest >= max(sum(value for value in column if value > 0) for column in columns) > 0
        bars = at.page.evaluate(BARS)
        assert any(base < 0 for base, _ in bars)  # a credit below another one
        assert all(base * size >= 0 for base, size in bars)  # each goes away from zero, none back towards it
        plot, hatched = at.page.evaluate(HEIGHTS)
        assert abs(plot - hatched) <= 1
        at.page.locator("#plot .zerolinelayer path").wait_for(state="attached")
        assert at.fits_its_width()
        at.check_accessible()
        at.screenshot(f"credits-{name}")


def test_areas_are_stacked_upwards_and_downwards_too(browser: Browser, site: Site) -> None:
    """Of more than 200 buckets; under the pointer there is one number a channel, with its sign."""
    oracle = site.oracles["credited"]
    with visit(browser, f"{site.url}{COST}&group=channel&range=30d", key=site.new_key("credited")) as at:
        settled(at.page)
        at.page.locator("#plot .scatterlayer path[d]").first.wait_for(state="attached")
        window = asked(at, metric="cost_cents", group_by="channel")
        for channel in CHANNELS:
            parts = [one for one in traces(at.page) if one["name"] == channel]
            expected = [
                float(value) for value in oracle.values("cost_cents", *window, channel=channel) if value is not None
            ]
            assert [sum(pair) for pair in zip(*(part["y"] for part in parts), strict=True)] == expected
            assert [part["stack"] for part in parts] == ["now", "credits"]
        box: Any = at.page.locator("#plot").bounding_box()
        at.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        hover = at.page.locator("#plot .hoverlayer .legend .traces")
        expect(hover).to_have_count(len(CHANNELS) + 1)  # and the prior period
        at.screenshot("credits-areas")


def test_nothing_but_credits_hangs_from_zero(browser: Browser, site: Site) -> None:
    where = f"{site.url}{COST}&range=30d&granularity=day"
    with visit(browser, where, PHONE, key=site.new_key("refunded")) as at:
        settled(at.page)
        at.page.locator("#plot .barlayer .point").first.wait_for(state="attached")
        window = asked(at, metric="cost_cents")
        expected = site.oracles["refunded"].values("cost_cents", *window)
        assert trace(at.page, "this period")["y"] == pytest.approx(numbers(expected))  # more digits than a double has
        lowest, highest = at.page.evaluate("document.getElementById('plot').layout.yaxis.range")
        assert (lowest < min(value for value in numbers(expected) if value is not None), highest) == (True, 0)
        assert at.fits_its_width()
        at.screenshot("credits-only")


@pytest.mark.parametrize("group", ["total", "channel"])
def test_costs_that_credits_cancel_out_are_not_nothing(browser: Browser, site: Site, group: str) -> None:
    with visit(browser, f"{site.url}{COST}&group={group}", key=site.new_key("cancelling")) as at:
        settled(at.page)
        at.page.wait_for_selector("#plot .barlayer .point")
        assert card(at.page, "cost_cents") == 0
        assert "the cost was 0 in either period" in card_words(at.page, "cost_cents")
        expect(at.page.locator("#chart-empty")).to_be_hidden()
        at.page.click("#card-sent")
        expect(at.page.locator("#chart-empty")).to_contain_text("nothing was sent")
        at.screenshot(f"credits-cancelling-{group}")


def test_the_table_and_the_csv_have_the_signs(browser: Browser, site: Site) -> None:
    oracle = site.oracles["credited"]
    with visit(browser, f"{site.url}{COST}&view=table", PHONE, key=site.new_key("credited")) as at:
        settled(at.page)
        window = asked(at, metric="cost_cents", compare_to="prior_period")
        expected = oracle.values("cost_cents", *window)
        shown = at.page.locator("#table-frame tbody tr td:nth-child(2)").all_inner_texts()
        assert [None if text == "pending" else number(text) for text in reversed(shown)] == expected
        with at.page.expect_download() as waiting:
            at.page.get_by_role("button", name="Download CSV").click()
        lines = list(csv.DictReader(io.StringIO(waiting.value.path().read_text())))
        assert [Decimal(line["value"]) if line["value"] else None for line in lines] == expected
        assert any(line["value"].startswith("-") for line in lines)
        assert at.fits_its_width()
        at.screenshot("credits-table")
