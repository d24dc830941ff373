"""The dashboard as a test uses it: keys go in, numbers come out."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page

from tests.browser.chromium import Visit
from tests.browser.oracle import METRICS

ENDPOINT = "/v1/metrics/messages"
HASTE = """(() => {
    const real = window.setTimeout;
    window.setTimeout = (act, ms, ...more) => real(act, ms >= 10_000 ? 1_000 : ms, ...more);
})()"""
"""The ten seconds after which the page asks again are one."""


def enter(page: Page, key: str) -> None:
    """Enter a key and wait until the numbers are there."""
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Show my metrics").click()
    settled(page)


def settled(page: Page) -> None:
    """Wait until what is shown is what was chosen."""
    page.wait_for_selector("#dashboard:not([aria-busy]) #card-sent .card-value")


def choose(visit: Visit, picker: str, option: str) -> None:
    """Choose an option of a picker."""
    visit.page.locator(f"#{picker}").get_by_role("radio", name=option, exact=True).check()
    settled(visit.page)


def card(page: Page, metric: str) -> Decimal:
    """The large number of a card."""
    return number(page.inner_text(f"#card-{metric} .card-value"))


def number(shown: str) -> Decimal:
    """A number as it is shown, with its unit or without."""
    return Decimal(re.sub(r"[,\s¢%]", "", shown).replace("−", "-"))


def card_words(page: Page, metric: str) -> str:
    return page.inner_text(f"#card-{metric}")


def cards(page: Page) -> dict[str, Decimal]:
    return {metric: card(page, metric) for metric in METRICS}


def asked(visit: Visit, **having: str) -> tuple[str, int, int]:
    """Granularity, start and end (epoch seconds) of the newest question with these parameters."""
    for request in reversed(visit.requests):
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == ENDPOINT and "from" in query and having.items() <= query.items():
            return query["granularity"], _instant(query["from"]), _instant(query["to"])
    raise AssertionError(f"nothing was asked with {having}")


def _instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def traces(page: Page) -> list[dict[str, Any]]:
    """What plotly was given to draw, by plotly's own account."""
    page.wait_for_selector("#plot .main-svg")
    found: list[dict[str, Any]] = page.evaluate(
        """document.getElementById('plot').data.map(trace => ({
            name: trace.name, type: trace.type, x: Array.from(trace.x), y: Array.from(trace.y), width: trace.width,
            pattern: trace.marker?.pattern?.shape ?? null, stack: trace.stackgroup ?? null,
            custom: trace.customdata ? Array.from(trace.customdata) : null, hoverinfo: trace.hoverinfo ?? null,
        }))"""
    )
    return found


def trace(page: Page, name: str) -> dict[str, Any]:
    return next(one for one in traces(page) if one["name"] == name)
