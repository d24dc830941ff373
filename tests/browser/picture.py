"""Makes the picture of the dashboard that the documents show: ``make picture``."""

import math
import random
import tempfile
from decimal import Decimal
from pathlib import Path

from tests.browser.chromium import chromium, visit
from tests.browser.dashboard import choose, enter
from tests.browser.oracle import CHANNELS, ERRORS, METRICS, Event
from tests.browser.site import running_site

PICTURE = Path(__file__).parents[2] / "docs" / "dashboard.png"
SIZE = (1280, 860)
HOUR, DAY, DAYS = 3600, 86_400, 15
PRICES = {"sms": "0.75", "email": "0.02", "whatsapp": "0.5", "mms": "2.25"}


def believable(now: int) -> dict[str, list[Event]]:
    """Two weeks of an organization that grows, sleeps at night and rests on weekends."""
    pick, events = random.Random(8), []
    for hour in range(now - now % HOUR - DAYS * DAY, now, HOUR):
        rhythm = 1 + 0.7 * math.sin((hour % DAY / DAY - 0.3) * 2 * math.pi)
        weekday = 0.55 if (hour // DAY + 4) % 7 in (0, 6) else 1.0
        growth = 1 + (hour - now + DAYS * DAY) / (DAYS * DAY) / 3
        for _ in range(int(160 * rhythm * weekday * growth * pick.uniform(0.9, 1.1))):
            metric = pick.choices(METRICS[:3], (100, 94, 5))[0]
            channel = pick.choices(CHANNELS, (6, 3, 2, 1))[0]
            code = pick.choices(ERRORS, (9, 5, 3, 1))[0] if metric == "failed" else ""
            cost = Decimal(PRICES[channel] if metric == "sent" else 0)
            events.append(Event(hour + pick.randrange(HOUR), metric, channel, code, cost))
    return {"busy": [event for event in events if event.at < now]}


def main() -> None:
    """Serve a site, and take its picture."""
    PICTURE.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as directory,
        running_site(Path(directory), believable) as site,
        chromium() as browser,
        visit(browser, site.url + "/#range=7d", SIZE) as at,
    ):
        enter(at.page, site.new_key("busy"))
        choose(at, "group", "Channel")
        at.page.locator("#plot .barlayer .point").first.wait_for(state="attached")
        at.page.screenshot(path=PICTURE)
    print(PICTURE)


if __name__ == "__main__":
    main()
