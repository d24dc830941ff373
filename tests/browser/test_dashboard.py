"""The dashboard's numbers are the oracle's, whatever is chosen."""

import csv
import io
import re
import time
from decimal import Decimal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import visit
from tests.browser.dashboard import asked, card, card_words, cards, choose, enter, settled, trace, traces
from tests.browser.oracle import CHANNELS, METRICS, WIDTHS, Oracle
from tests.browser.site import Site

RANGES = {"1 h": "minute", "6 h": "minute", "24 h": "hour", "7 d": "hour", "30 d": "day", "90 d": "day"}


def utc(at: int) -> str:
    """An instant as the chart is given it; the browser of the tests is set to New York."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))


def check_cards(shown: dict[str, Decimal], oracle: Oracle, window: tuple[str, int, int]) -> None:
    assert shown == {metric: oracle.total(metric, *window) for metric in METRICS}


def test_the_cards_show_the_oracles_numbers_and_the_key_stays_secret(
    browser: Browser, site: Site, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    key, oracle = site.new_key("busy"), site.oracles["busy"]
    with visit(browser, site.url) as at:
        enter(at.page, key)
        window = asked(at, metric="sent", compare_to="prior_period")
        check_cards(cards(at.page), oracle, window)
        for metric in METRICS:
            before = oracle.prior_total(metric, *window)
            assert before
            assert f"{before:,f}" in card_words(at.page, metric)
        rate = oracle.total("delivered", *window) / oracle.total("sent", *window) * 100
        assert abs(card(at.page, "rate") - rate) <= Decimal("0.05")
        instant = time.strftime("%H:%M:%S", time.gmtime(site.as_of))
        expect(at.page.locator("#freshness")).to_have_text(re.compile(rf"as of {instant} UTC, \d+ (s|min) behind"))
        stored = at.page.evaluate("[JSON.stringify(localStorage), document.cookie, location.href]")
        assert not [text for text in stored if key in text]
        assert not [request.url for request in at.requests if key in request.url]
        at.page.reload()
        settled(at.page)  # a reload keeps the key,
        at.page.get_by_role("button", name="Forget key").click()
        at.page.reload()
        expect(at.page.get_by_label("API key")).to_be_visible()  # and forgetting it does not
    assert key not in capfd.readouterr().err + caplog.text


def test_each_range_and_granularity_shows_its_own_numbers(browser: Browser, site: Site) -> None:
    with visit(browser, site.url) as at:
        enter(at.page, site.new_key("busy"))
        for label, granularity in RANGES.items():
            choose(at, "range", label)
            choose(at, "granularity", granularity.capitalize())
            window = asked(at, metric="sent", compare_to="prior_period")
            assert window[0] == granularity
            assert window[2] - WIDTHS[granularity] <= time.time() < window[2] + 60
            check_cards(cards(at.page), site.oracles["busy"], window)


def test_a_custom_range_is_read_as_utc(browser: Browser, site: Site) -> None:
    with visit(browser, site.url) as at:
        enter(at.page, site.new_key("busy"))
        choose(at, "range", "Custom")
        start = site.as_of - site.as_of % 86_400 - 20 * 86_400
        for name, instant in (("From (UTC)", start), ("To (UTC)", start + 5 * 86_400)):
            at.page.get_by_label(name).fill(time.strftime("%Y-%m-%dT%H:%M", time.gmtime(instant)))
        at.page.get_by_label("To (UTC)").blur()
        expect(at.page.locator("#chart-caption")).to_contain_text("120 of 120")
        assert asked(at, metric="sent") == ("hour", start, start + 5 * 86_400)
        check_cards(cards(at.page), site.oracles["busy"], ("hour", start, start + 5 * 86_400))
        at.page.get_by_label("To (UTC)").fill("2001-01-01T00:00")
        expect(at.page.locator("#custom-problem")).to_have_text("The range must end after it begins.")


def test_the_chart_draws_both_periods_and_what_is_pending_as_a_hatched_gap(browser: Browser, site: Site) -> None:
    oracle = site.oracles["busy"]
    with visit(browser, site.url) as at:
        enter(at.page, site.new_key("busy"))
        for metric in METRICS:
            at.page.click(f"#card-{metric}")
            settled(at.page)
            granularity, start, end = asked(at, metric=metric, compare_to="prior_period")
            now = trace(at.page, "this period")
            expected = oracle.values(metric, granularity, start, end)
            assert expected[-1] is None
            assert now["y"] == [None if value is None else float(value) for value in expected]
            assert now["x"] == [utc(bucket) for bucket in oracle.bucket_starts(granularity, start, end)]
            before = oracle.values(metric, granularity, 2 * start - end, start)
            assert trace(at.page, "prior period")["y"] == [float(value or 0) for value in before]
        pending = trace(at.page, "pending")
        first = expected.index(None)
        assert pending["pattern"] == "/"
        assert pending["x"] == [utc(start + first * 3600)]
        assert pending["width"] == (len(expected) - first) * 3600 * 1000
        at.screenshot("light")


def test_channels_are_stacked_and_add_up(browser: Browser, site: Site) -> None:
    oracle = site.oracles["busy"]
    with visit(browser, site.url) as at:
        enter(at.page, site.new_key("busy"))
        choose(at, "group", "Channel")
        window = asked(at, metric="sent", group_by="channel")
        drawn = {one["name"]: one["y"] for one in traces(at.page)}
        for channel in CHANNELS:
            expected = oracle.values("sent", *window, channel=channel)
            assert drawn[channel] == [None if value is None else float(value) for value in expected]
        assert at.page.evaluate("document.getElementById('plot').layout.barmode") == "relative"
        at.page.click("#card-failed")
        settled(at.page)
        window = asked(at, metric="failed", group_by="channel")
        drawn = {one["name"]: one["y"] for one in traces(at.page)}
        sms = oracle.values("failed", *window, channel="sms")
        assert drawn["sms"] == [None if value is None else float(value) for value in sms]
        codes = at.page.locator("#errors li").evaluate_all("lines => lines.map(line => line.dataset.key)")
        assert set(codes) == set(oracle.keys("error_code", "failed", *window))
        at.page.click("#card-sent")
        choose(at, "range", "7 d")
        at.page.locator("#legend").get_by_text("whatsapp").wait_for()
        at.screenshot("channels")


def test_error_codes_are_ranked(browser: Browser, site: Site) -> None:
    with visit(browser, site.url + "/#range=30d&granularity=day&group=error_code&metric=failed") as at:
        enter(at.page, site.new_key("busy"))
        window = asked(at, metric="failed", group_by="error_code")
        expected = site.oracles["busy"].keys("error_code", "failed", *window)
        lines = at.page.locator("#errors li")
        shown = [
            (lines.nth(i).get_attribute("data-key"), int(lines.nth(i).locator(".rank-value").inner_text()))
            for i in range(lines.count())
        ]
        assert shown == sorted(((k, int(n)) for k, n in expected.items()), key=lambda pair: -pair[1])
        assert "no error code" in at.page.inner_text("#errors")
        at.screenshot("errors")


def test_more_failures_are_never_green(browser: Browser, site: Site) -> None:
    with visit(browser, site.url + "/#range=30d&granularity=day") as at:
        enter(at.page, site.new_key("busy"))
        change = at.page.locator("#card-failed .change")
        window = asked(at, metric="failed", compare_to="prior_period")
        oracle = site.oracles["busy"]
        assert oracle.total("failed", *window) > oracle.prior_total("failed", *window)
        expect(change).to_contain_text("▲")
        expect(change).to_have_class("change bad")
        red, green, _ = (
            int(part) for part in change.evaluate("e => getComputedStyle(e).color").split("(")[1][:-1].split(",")
        )
        assert red > green


def test_nothing_is_divided_by_a_prior_period_of_zero_and_money_is_exact(browser: Browser, site: Site) -> None:
    with visit(browser, site.url) as at:
        enter(at.page, site.new_key("new"))
        window = asked(at, metric="sent", compare_to="prior_period")
        check_cards(cards(at.page), site.oracles["new"], window)
        assert "nothing was sent in the prior period" in card_words(at.page, "sent")
        assert "nothing failed in the prior period" in card_words(at.page, "failed")
        text = at.page.inner_text("#content")
        assert "NaN" not in text
        assert "Infinity" not in text


def test_a_range_without_a_complete_bucket_has_no_numbers_and_no_zeros(browser: Browser, site: Site) -> None:
    ends = [time.strftime("%Y-%m-%dT00:00:00Z", time.gmtime(site.as_of + days * 86_400)) for days in (2, 5)]
    with visit(browser, f"{site.url}/#range=custom&granularity=day&from={ends[0]}&to={ends[1]}") as at:
        enter(at.page, site.new_key("busy"))
        assert at.page.locator("#cards .card-value").all_inner_texts() == ["–"] * 5
        expect(at.page.locator("#chart-empty")).to_contain_text("No bucket of this range is complete yet.")
        assert trace(at.page, "this period")["y"] == [None] * 3
        assert trace(at.page, "pending")["width"] == 3 * 86_400 * 1000
        at.screenshot("pending")


TWO_MOMENTS = """async () => {
    const { atOneMoment, compare } = await import('/assets/summary.js');
    const hour = 3_600_000;
    const answer = asOf => ({
        asOf,
        buckets: [0, 1, 2].map(n => ({start: n * hour, value: (n + 1) * hour <= asOf ? 1n : null})),
        prior: [0, 1, 2].map(n => ({start: (n - 3) * hour, value: 1n})),
    });
    const found = atOneMoment([answer(2 * hour), answer(hour)], hour);
    return found.map(one => [one.asOf, compare(one).completed, Number(compare(one).before)]);
}"""


def test_answers_on_both_sides_of_a_closing_are_compared_as_of_the_earlier(browser: Browser, site: Site) -> None:
    with visit(browser, site.url) as at:
        assert at.page.evaluate(TWO_MOMENTS) == [[3_600_000, 1, 1], [3_600_000, 1, 1]]


def test_an_organization_without_messages_sees_words(browser: Browser, site: Site) -> None:
    with visit(browser, site.url) as at:
        enter(at.page, site.new_key("quiet"))
        expect(at.page.locator("#chart-empty")).to_contain_text("nothing was sent")
        assert cards(at.page) == dict.fromkeys(METRICS, Decimal(0))
        assert "nothing failed in either period" in card_words(at.page, "failed")
        at.screenshot("empty")


@pytest.mark.parametrize(
    ("org", "finest", "refused"), [("growing", "hour", ["minute"]), ("small", "day", ["minute", "hour"])]
)
def test_what_the_plan_lacks_is_greyed_with_the_reason(
    browser: Browser, site: Site, org: str, finest: str, refused: list[str]
) -> None:
    with visit(browser, site.url + "/#granularity=minute&range=7d") as at:
        enter(at.page, site.new_key(org))
        assert asked(at, metric="sent")[0] == finest
        for granularity in WIDTHS:
            assert at.page.locator(f"#granularity-{granularity}").is_disabled() == (granularity in refused)
        expect(at.page.locator("#granularity-hint")).to_contain_text(
            f"Minute: not in this key's plan, whose finest granularity is the {finest}."
        )
        check_cards(cards(at.page), site.oracles[org], asked(at, metric="sent"))
        at.screenshot(f"plan-{finest}")


def test_too_many_buckets_are_refused_with_their_number(browser: Browser, site: Site) -> None:
    with visit(browser, site.url + "/#range=30d&granularity=minute") as at:
        enter(at.page, site.new_key("busy"))
        assert asked(at, metric="sent")[0] == "hour"
        expect(at.page.locator("#granularity-hint")).to_contain_text("and at most 10,000 can be shown")


def test_the_table_has_the_same_numbers(browser: Browser, site: Site) -> None:
    with visit(browser, site.url) as at:
        enter(at.page, site.new_key("busy"))
        choose(at, "view", "Table")
        window = asked(at, metric="sent", compare_to="prior_period")
        expected = site.oracles["busy"].values("sent", *window)
        cells = at.page.locator("#table-frame tbody tr td:nth-child(2)").all_inner_texts()
        assert cells == ["pending" if value is None else f"{value:,}" for value in reversed(expected)]
        at.check_accessible()
        at.screenshot("table")


@pytest.mark.parametrize("group", ["total", "channel"])
def test_the_csv_is_what_is_shown(browser: Browser, site: Site, group: str) -> None:
    start = site.as_of - site.as_of % 3600 - 6 * 86_400  # more buckets than a page has
    ends = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) for at in (start, start + 6 * 86_400 + 3600)]
    where = f"/#range=custom&from={ends[0]}&to={ends[1]}&granularity=minute&group={group}&metric=cost_cents"
    oracle = site.oracles["busy"]
    with visit(browser, site.url + where) as at:
        enter(at.page, site.new_key("busy"))
        with at.page.expect_download() as waiting:
            at.page.get_by_role("button", name="Download CSV").click()
        content = waiting.value.path().read_text()
        window = asked(at, metric="cost_cents", compare_to="prior_period")
    assert content.count("bucket_start") == 1  # one heading for all pages
    lines = list(csv.DictReader(io.StringIO(content)))
    found = {(line["bucket_start"], line.get("key", "")): line["value"] for line in lines}
    for channel in CHANNELS if group == "channel" else ("",):
        expected = oracle.values("cost_cents", *window, channel=channel)
        for bucket, value in zip(oracle.bucket_starts(*window), expected, strict=True):
            start_text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(bucket))
            if value is None:
                assert {line["value"] for line in lines if line["bucket_start"] == start_text} == {""}
            else:
                assert Decimal(found.get((start_text, channel), "0")) == value
    assert "-cost_cents" in waiting.value.suggested_filename
