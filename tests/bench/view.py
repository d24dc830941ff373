"""The dashboard's first view of 30 days, in a real browser beside the API and ClickHouse on this machine."""

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench.dataset import close, days_before_today, fill, store_of
from tests.bench.figures import Figures
from tests.browser.chromium import chromium, visit
from tests.browser.first_view import FirstView, by_form, returning, with_key
from tests.browser.many_points import MOST_POINTS, hover_frame_ms, show_many, zoom_ms
from tests.support.system import System

PART = "view"
DAYS = 60  # 30 and the prior period
FACTS, ORGANIZATIONS, ORGANIZATION = 2_000_000, 10, "org-1"
VISITS = 7
WHOLE_MS, FRAME_MS = 1_500, 100


def measure(figures: Figures, scale: float) -> None:
    """Both ways to the first view, each time with an empty cache; then what a returning visitor waits for."""
    with tempfile.TemporaryDirectory() as directory, System(Path(directory)) as system, chromium() as browser:
        span, store = days_before_today(DAYS), store_of(system)
        fill(system, int(FACTS * scale), ORGANIZATIONS, span)
        close(store, span)
        system.run("orgs", "set", ORGANIZATION, "--tier", "scale")
        key = next(w for w in system.run("keys", "create", ORGANIZATION).split() if w.startswith("am_live_"))
        url = system.start_api()
        first = with_key(browser, url, key)
        figures.add(PART, "30 days from navigation, all, first visitor since the start", first.whole, "ms")
        _say(figures, "from navigation", [with_key(browser, url, key) for _ in range(VISITS)])
        _say(figures, "from pressing the button", [by_form(browser, url, key) for _ in range(VISITS)])
        _say(figures, "from navigation, returning", returning(browser, url, key, VISITS))
        with visit(browser, url, key=key) as at:
            show_many(at.page, url, span.end)
            points = f"{MOST_POINTS:,} points"
            figures.add(PART, f"{points}, frame while hovering, p90", hover_frame_ms(at.page), "ms", at_most=FRAME_MS)
            figures.add(PART, f"{points}, another stretch of time, median", zoom_ms(at.page), "ms")


def _say(figures: Figures, how: str, seen: Sequence[FirstView]) -> None:
    whole, numbers = [one.whole for one in seen], [one.numbers for one in seen]
    figures.add(PART, f"30 days {how}, numbers, median", statistics.median(numbers), "ms")
    figures.add(PART, f"30 days {how}, all, median", statistics.median(whole), "ms", at_most=WHOLE_MS)
    figures.add(PART, f"30 days {how}, all, slowest of {len(seen)}", max(whole), "ms")
