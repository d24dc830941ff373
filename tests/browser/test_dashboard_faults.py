"""What the dashboard says when something goes wrong, and that it recovers by itself."""

import time

from playwright.sync_api import Browser, expect

from deploy.cli.accounts import revoke_key, set_tier
from schemas.tiers import Tier
from tests.browser.chromium import visit
from tests.browser.dashboard import ENDPOINT, HASTE, cards, choose, enter, settled
from tests.browser.site import Site

REQUEST_ID = r"request id [0-9A-Z]{26}"


def test_a_key_that_looks_wrong_is_not_even_sent(browser: Browser, site: Site) -> None:
    with visit(browser, site.url) as at:
        at.page.get_by_label("API key").fill("am_live_short")
        at.page.get_by_role("button", name="Show my metrics").click()
        expect(at.page.locator("#key-problem")).to_contain_text("42 characters in all; this one has 13")
        assert not [request for request in at.requests if ENDPOINT in request.url]
        at.check_accessible()


def test_an_unknown_key_is_refused_in_words_with_the_request_id(browser: Browser, site: Site) -> None:
    with visit(browser, site.url) as at:
        at.expected_statuses.add(401)
        at.page.get_by_label("API key").fill("am_live_" + "0" * 34)
        at.page.get_by_role("button", name="Show my metrics").click()
        problem = at.page.locator("#key-problem")
        expect(problem).to_contain_text("not accepted: it may be mistyped, expired or revoked")
        assert at.page.evaluate(f"/{REQUEST_ID}/.test(document.getElementById('key-problem').textContent)")
        at.screenshot("error-key")


def test_a_key_revoked_in_the_middle_takes_its_numbers_off_the_page(browser: Browser, site: Site) -> None:
    key = site.new_key("busy")
    with visit(browser, site.url, script=HASTE) as at:
        enter(at.page, key)
        at.expected_statuses.add(401)
        assert cards(at.page)["sent"]
        revoke_key(site.client, key)
        problem = at.page.locator("#key-problem")  # shown by the next refresh, which nobody has asked for
        expect(problem).to_contain_text("expired or revoked", timeout=20_000)
        assert at.page.evaluate(f"/{REQUEST_ID}/.test(document.getElementById('key-problem').textContent)")
        expect(at.page.locator("#dashboard")).to_be_hidden()
        assert at.page.locator("#errors li").count() == 0
        assert at.page.evaluate("sessionStorage.length") == 0


def test_a_plan_that_became_smaller_in_the_middle_is_shown_as_far_as_it_goes(browser: Browser, site: Site) -> None:
    set_tier(site.client, "changing", Tier.SCALE)
    key = site.new_key("changing")
    with visit(browser, site.url + "/#granularity=minute&range=6h", key=key, script=HASTE) as at:
        settled(at.page)
        set_tier(site.client, "changing", Tier.GROWTH)
        at.expected_statuses.add(422)
        expect(at.page.locator("#granularity-hour")).to_be_checked(timeout=20_000)
        expect(at.page.locator("#granularity-minute")).to_be_disabled()
        expect(at.page.locator("#notice")).to_be_empty()


def test_without_clickhouse_the_page_says_so_keeps_its_numbers_and_goes_on_by_itself(
    browser: Browser, site: Site
) -> None:
    with visit(browser, site.url, script=HASTE) as at:
        enter(at.page, site.new_key("busy"))
        at.expected_statuses |= {503}
        before = cards(at.page)
        site.gate.shut()
        try:
            choose(at, "range", "24 h")
            at.page.get_by_role("radio", name="7 d").check()
            notice = at.page.locator("#notice")
            expect(notice).to_contain_text("unavailable at the moment")
            expect(notice).to_contain_text("The numbers below are from before.")
            expect(at.page.locator("#freshness")).to_contain_text("not refreshed since")
            assert at.page.evaluate(f"/{REQUEST_ID}/.test(document.getElementById('notice').textContent)")
            assert cards(at.page) == before
            at.check_accessible()
            at.screenshot("error-unavailable")
        finally:
            site.gate.open()
        later = int(time.time()) - 3
        site.raise_as_of(later)
        expect(notice).to_be_empty(timeout=20_000)
        expect(at.page.locator("#freshness")).to_contain_text(time.strftime("as of %H:%M:%S UTC", time.gmtime(later)))


def test_without_the_charts_script_the_numbers_are_there(browser: Browser, site: Site) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/assets/plotly-*", lambda route: route.abort())
    page.goto(site.url)
    enter(page, site.new_key("busy"))
    expect(page.locator("#chart-empty")).to_contain_text("The chart can't be drawn")
    page.locator("#view").get_by_role("radio", name="Table").check()
    expect(page.locator("#table-frame tbody tr").first).to_be_visible()
    context.close()
