"""The page says which numbers were corrected since it first read them, and what they were."""

import time
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import PHONE, WIDE, visit
from tests.browser.dashboard import HASTE, asked, choose, number, settled, trace, traces
from tests.browser.oracle import CHARGED, Event
from tests.browser.site import Site

HOUR = 3600


def hour_before(site: Site, hours: int) -> int:
    """The start of a complete hour."""
    return site.as_of - site.as_of % HOUR - hours * HOUR


def costs(site: Site, window: tuple[str, int, int]) -> dict[int, Decimal | None]:
    """The true costs by the start of the hour."""
    return dict(
        zip(range(window[1], window[2], HOUR), site.oracles["corrected"].values("cost_cents", *window), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "size", "scheme"), [("wide", WIDE, "light"), ("dark", WIDE, "dark"), ("phone", PHONE, "light")]
)
def test_late_events_and_charges_are_marked_with_what_was_there_before(
    browser: Browser, site: Site, name: str, size: tuple[int, int], scheme: str
) -> None:
    key = site.new_key("corrected")
    with visit(browser, f"{site.url}/#metric=cost_cents&range=24h", size, scheme, key=key, script=HASTE) as at:
        settled(at.page)
        caption, legend = at.page.locator("#chart-caption"), at.page.locator("#legend")
        expect(caption).not_to_contain_text("corrected")
        expect(legend).not_to_contain_text("corrected")
        window = asked(at, metric="cost_cents", compare_to="prior_period")
        before = costs(site, window)
        changed = [hour_before(site, hours) for hours in (9, 3)]
        site.arrive(
            "corrected",
            Event(changed[0] + 60, CHARGED, "sms", "", Decimal("-7.25")),
            Event(changed[1] + 60, "sent", "mms", "", Decimal("2.25")),
        )
        expect(caption).to_contain_text("2 hours corrected since", timeout=20_000)
        expect(legend).to_contain_text("corrected")
        at.page.locator("#plot .scatterlayer .point").first.wait_for(state="attached")
        marks = trace(at.page, "corrected")
        assert [str(x) for x in marks["x"]] == [time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(x)) for x in changed]
        now = costs(site, window)
        assert marks["y"] == [float(now[start] or 0) for start in changed]
        at.check_accessible()
        assert at.fits_its_width()
        at.screenshot(f"corrected-{name}")
        at.page.locator("#card-delivered").click()
        settled(at.page)
        expect(caption).not_to_contain_text("corrected")  # of the messages that were delivered nothing was
        assert not [one for one in traces(at.page) if one["name"] == "corrected"]
        at.page.locator("#card-cost_cents").click()
        choose(at, "view", "Table")
        told = at.page.locator("#table-frame td .corrected").all_inner_texts()
        assert [number(text.split()[1]) for text in told] == [before[start] for start in reversed(changed)]
        lines = at.page.locator("#table-frame tr:has(.corrected)").all()
        assert [number(line.locator("td").first.inner_text().split("\n")[0]) for line in lines] == [
            now[start] for start in reversed(changed)
        ]
        frame: Any = at.page.locator("#table-frame").bounding_box()
        shown: Any = lines[0].locator("td").first.bounding_box()
        assert shown["x"] + shown["width"] <= frame["x"] + frame["width"], "the number itself is out of sight"
        at.check_accessible()
        at.screenshot(f"corrected-table-{name}")
