"""A chart of as many points as a window may have, and how long a frame takes while somebody uses it."""

from datetime import UTC, datetime

from playwright.sync_api import Page

from tests.browser.dashboard import settled

MOST_POINTS = 10_000
AHEAD = 10
"""Minutes of the window that are yet to come."""
LINE = "#plot .scatterlayer path[d]"
HOVER = """async () => {
    const plot = document.getElementById('plot').getBoundingClientRect();
    const target = document.querySelector('#plot .nsewdrag');
    const gaps = [];
    let last = performance.now();
    for (let step = 0; step < 60; step += 1) {
        const clientX = plot.left + 60 + step * 10;
        target.dispatchEvent(new MouseEvent('mousemove', {clientX, clientY: plot.top + 150, bubbles: true}));
        await new Promise(requestAnimationFrame);
        gaps.push(performance.now() - last);
        last = performance.now();
    }
    return gaps.sort((a, b) => a - b)[Math.floor(gaps.length * 0.9)];
}"""
ZOOM = """async () => {
    const plot = document.getElementById('plot');
    const [from, to] = plot.layout.xaxis.range.map(text => Date.parse(`${text}Z`.replace(' ', 'T')));
    const text = instant => new Date(instant).toISOString().slice(0, 19);
    const took = [];
    for (let step = 1; step <= 10; step += 1) {
        const began = performance.now();
        await Plotly.relayout(plot, {'xaxis.range': [text(from + (to - from) * step / 21), text(to)]});
        await new Promise(requestAnimationFrame);
        took.push(performance.now() - began);
    }
    return took.sort((a, b) => a - b)[5];
}"""


def show_many(page: Page, url: str, at: int) -> None:
    """Show the minutes around ``at`` (epoch seconds), in a tab that has a key."""
    minute = at - at % 60
    ends = (minute - (MOST_POINTS - AHEAD) * 60, minute + AHEAD * 60)
    start, end = (datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for instant in ends)
    page.goto(f"{url}/?#range=custom&granularity=minute&from={start}&to={end}")
    settled(page)
    page.locator(LINE).first.wait_for(state="attached")


def hover_frame_ms(page: Page) -> float:
    """Nine in ten frames take less while the pointer moves over the chart."""
    return float(page.evaluate(HOVER))


def zoom_ms(page: Page) -> float:
    """From a new stretch of time to the frame that shows it, median."""
    return float(page.evaluate(ZOOM))
