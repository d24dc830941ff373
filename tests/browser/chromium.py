"""Real Chromium, and pages that notice whatever a page must not do."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

SCREENSHOTS = Path(__file__).parents[2] / "test-output" / "browser"
PLACES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    # Playwright listens for errors, so V8 needs the lines of code of every error that plotly catches by itself while it
    # starts; it finds them by parsing the whole script again, which takes longer than the start. Nobody else's browser
    # does that. Told to note lines at once, this one takes as long as theirs.
    "--js-flags=--no-enable-lazy-source-positions",
)
SERIOUS = ("serious", "critical")
LONGEST_WAIT_MS = 15_000
WIDE, PHONE = (1360, 900), (390, 844)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; tests that need it are skipped where there is none."""
    path = next((found for name in PLACES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page in a context of its own. ``check`` fails on a console error, a refused style or script, or a request
    that leaves the origin; ``expected_statuses`` are the answers whose console line is part of the test.
    """

    page: Page
    origin: str
    expected_statuses: set[int] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.problems.append(f"exception: {error}"))
        self.page.on("request", lambda request: self.requests.append(request))

    def _on_console(self, message: ConsoleMessage) -> None:
        expected = any(f"status of {status}" in message.text for status in self.expected_statuses)
        if message.type in ("error", "warning") and not expected:
            self.problems.append(f"console: {message.text}")

    def check(self) -> None:
        """Nothing happened that must not."""
        foreign = [r.url for r in self.requests if not r.url.startswith((self.origin + "/", "blob:", "data:"))]
        assert not self.problems, self.problems
        assert not foreign, foreign

    def screenshot(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=True)
        print(f"screenshot: {path}")

    def check_accessible(self) -> None:
        """axe finds nothing serious."""
        found: dict[str, Any] = Axe().run(self.page).response
        serious = [v for v in found["violations"] if v["impact"] in SERIOUS]
        assert not serious, [(v["id"], [node["html"][:200] for node in v["nodes"]]) for v in serious]
        assert len(found["passes"]) > 10  # that is, axe has looked at a page

    def fits_its_width(self) -> bool:
        """Nothing sticks out sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@contextmanager
def visit(
    browser: Browser, url: str, size: tuple[int, int] = WIDE, scheme: Any = "light", key: str = "", script: str = ""
) -> Iterator[Visit]:
    """A page at an address, checked at the end; with a key, as a tab in which it was entered before. A script runs
    before those of the page."""
    is_phone = size == PHONE
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        is_mobile=is_phone,
        has_touch=is_phone,
        accept_downloads=True,
        timezone_id="America/New_York",
        locale="de-DE",
    )
    parts = urlsplit(url)
    context.set_default_timeout(LONGEST_WAIT_MS)
    if key:
        slots = {"message-metrics-key": key, "message-metrics-plan": "day,hour,minute"}
        context.add_init_script(f"Object.entries({slots}).forEach(slot => sessionStorage.setItem(...slot))")
    if script:
        context.add_init_script(script)
    seen = Visit(context.new_page(), f"{parts.scheme}://{parts.netloc}")
    try:
        seen.page.goto(url)
        yield seen
        seen.check()
    finally:
        context.close()
