"""How long somebody waits for the first view of 30 days: until the cards have numbers and the chart is painted.

    with a key     navigation ────────────────────────► numbers, picture       (a tab in which a key was entered before)
    by the form    navigation ──► form, plotly starts
                                  press „Show“ ───────► numbers, picture

Each visit is a browser context of its own, so that nothing is in its cache. Times are the page's own, in milliseconds;
the picture counts when the frame that has it is done.
"""

from dataclasses import dataclass

from playwright.sync_api import Browser, Page

from tests.browser.chromium import visit

WHERE = "/#range=30d&granularity=hour&group=channel"
SHOW = "Show my metrics"
WATCH = """(() => {
    const found = window.firstView = {pressed: 0, numbers: null, picture: null};
    addEventListener('click', event => { found.pressed = event.timeStamp; }, true);
    const afterFrame = act => requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = act;
        channel.port2.postMessage(null);
    });
    const isThere = {
        numbers: () => document.querySelectorAll('#cards .card-value').length === 5,
        picture: () => document.querySelector('#plot .scatterlayer path[d]') && document.querySelector('#plot .xtick'),
    };
    const watcher = new MutationObserver(() => {
        for (const [name, check] of Object.entries(isThere)) {
            if (!check()) continue;
            delete isThere[name];
            afterFrame(() => { found[name] = performance.now(); });
        }
    });
    watcher.observe(document, {childList: true, subtree: true, attributes: true});
})()"""
DRAWN = """new Promise(resolve => {
    const look = () => window.firstView.picture && window.firstView.numbers ? resolve() : setTimeout(look, 20);
    look();
})"""
ONCE_STARTED = (
    "new Promise(resolve => { const look = () => window.Plotly ? resolve() : setTimeout(look, 20); look(); })"
)


@dataclass(frozen=True, slots=True)
class FirstView:
    """Milliseconds from navigation, or from pressing the button, to both."""

    numbers: float
    picture: float

    @property
    def whole(self) -> float:
        return max(self.numbers, self.picture)


def with_key(browser: Browser, url: str, key: str) -> FirstView:
    """From the call for the page, in a tab that has the key."""
    with visit(browser, url + WHERE, key=key, script=WATCH) as at:
        return drawn(at.page)


def by_form(browser: Browser, url: str, key: str) -> FirstView:
    """From pressing the button; typing a key takes a person longer than plotly takes to start."""
    with visit(browser, url + WHERE, script=WATCH) as at:
        at.page.evaluate(ONCE_STARTED)
        at.page.get_by_label("API key").fill(key)
        at.page.get_by_role("button", name=SHOW).click()
        return drawn(at.page)


def returning(browser: Browser, url: str, key: str, visits: int) -> list[FirstView]:
    """The same tab again and again, after a first visit that filled the browser's cache."""
    with visit(browser, url + WHERE, key=key, script=WATCH) as at:
        seen = [drawn(at.page)]
        for _ in range(visits):
            at.page.goto(f"{url}/openapi.json")
            at.page.goto(url + WHERE)
            seen.append(drawn(at.page))
        return seen[1:]


def drawn(page: Page) -> FirstView:
    """Wait for the picture; when both were there."""
    page.evaluate(DRAWN)
    found = page.evaluate("window.firstView")
    return FirstView(*(found[name] - found["pressed"] for name in ("numbers", "picture")))
