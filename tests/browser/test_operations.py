"""The operations page of a real worker, as `msgmetrics dev` runs it."""

import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from confluent_kafka import Producer
from playwright.sync_api import Browser, Locator, Route, expect

from deploy.engines.gate import basic
from schemas.connection import connect
from tests.browser.chromium import PHONE, WIDE, visit
from tests.integration.test_dev import dev

HOSTILE = b'<img src=x onerror="document.title=1">\xe2\x80\xae reversed \x00\xff ' + b"x" * 500
EXCERPT_BYTES = 120
CLOSING = """
INSERT INTO closings (closed_from, closed_to, generation, worker, duration_ms, closed_at)
SELECT now64(3) - 60, now64(3), 0, 'a-roller', 1234, now64(3) + 60
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with dev(tmp_path_factory.mktemp("dev") / "data", "--no-demo", topics=("message-events", "charges")) as found:
        yield found


def produce(found: dict[str, Any], *values: bytes) -> None:
    producer = Producer({"bootstrap.servers": found["kafka_bootstrap"]})
    for value in values:
        producer.produce(found["topics"][0], value)
    assert producer.flush(10) == 0


def event(number: int) -> bytes:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = '{"event_id":"%d","type":"message.sent","org_id":"a","channel":"sms","occurred_at":"%s"}'
    return (text % (number, at)).encode()


def rows(table: Locator) -> list[list[str]]:
    return [line.locator("td").all_inner_texts() for line in table.locator("tbody tr").all()]


def test_the_page_shows_what_the_pipeline_does_while_it_does_it(browser: Browser, running: dict[str, Any]) -> None:
    client = connect(running["clickhouse_url"])
    with visit(browser, running["admin_url"]) as at:
        page = at.page
        expect(page.locator("#partitions tbody tr")).to_have_count(8, timeout=15_000)
        produce(running, *(event(number) for number in range(200)), b"{", HOSTILE)
        expect(page.locator("#tiles")).to_contain_text("200 since the start", timeout=15_000)
        expect(page.locator("#letters tbody tr")).to_have_count(2, timeout=15_000)
        expect(page.locator("#state")).to_contain_text("Ready", timeout=20_000)
        expect(page.locator("#closings tbody td").first).not_to_have_text(
            "Nothing has been closed yet.", timeout=70_000
        )
        expect(page.locator("#age polyline")).to_have_attribute("points", re.compile(r"\d"), timeout=15_000)
        stored = client.query(
            "SELECT topic, partition, max(next_offset) FROM partition_watermarks GROUP BY 1, 2 ORDER BY 1, 2"
        )
        expect(page.locator("#partitions")).to_contain_text("caught up")
        shown = [(row[0], int(row[1]), int(row[2].replace(",", ""))) for row in rows(page.locator("#partitions"))]
        assert shown == [tuple(row) for row in stored.result_rows]
        assert page.locator("#reasons").inner_text().startswith("2 malformed_json")
        stages = page.locator("#stages li").all_inner_texts()
        assert {"poll", "decode", "build", "insert", "commit", "wait"} <= {text.split("\n")[0] for text in stages}
        at.check_accessible()
        at.screenshot("operations")


def test_a_hostile_dead_letter_is_shown_short_and_harmless(browser: Browser, running: dict[str, Any]) -> None:
    produce(running, HOSTILE)
    with visit(browser, running["admin_url"], PHONE, "dark") as at:
        excerpt = at.page.locator("#letters code").first
        expect(excerpt).to_contain_text("<img src=x onerror=", timeout=15_000)
        assert at.page.locator("#letters img").count() == 0
        assert at.page.title() == "Operations · Message Metrics"
        text = excerpt.inner_text()
        assert len(text.encode()) < EXCERPT_BYTES + 20
        assert not {"\u202e", "\x00"} & set(text)
        assert "x" * 200 not in at.page.content()
        assert at.fits_its_width()
        at.check_accessible()
        at.screenshot("operations-phone-dark")


def test_months_are_told_by_how_they_stand(browser: Browser, running: dict[str, Any]) -> None:
    months = [("2026-08", True, 5, 0, 0), ("2026-09", True, 4, 1, 1200), ("2026-10", False, 0, 5, 0)]
    names = ("period", "has_ended", "stated", "open", "differing")

    def answer(route: Route) -> None:
        found = route.fetch().json()
        told = [dict(zip(names, month, strict=True)) for month in months]
        route.fulfill(json={**found, "stored": {**found["stored"], "months": told}})

    with visit(browser, running["admin_url"], WIDE) as at:
        at.page.route("**/operations.json", answer)
        expect(at.page.locator("#months tbody tr")).to_have_count(3, timeout=15_000)
        assert rows(at.page.locator("#months")) == [
            ["2026-08", "stated", "5", "0", "0"],
            ["2026-09", "stated, differs", "4", "1", "1,200"],
            ["2026-10", "under way", "0", "5", "0"],
        ]
        months[-1] = ("2026-10", True, 0, 5, 0)
        expect(at.page.locator("#months tbody tr").last).to_contain_text("open", timeout=15_000)
        at.check_accessible()
        at.screenshot("operations-months")


def test_a_worker_that_is_gone_is_said_to_be_gone(browser: Browser, running: dict[str, Any]) -> None:
    with visit(browser, running["admin_url"], WIDE) as at:
        expect(at.page.locator("#updated")).to_contain_text("updated")
        at.page.route("**/operations.json", lambda route: route.abort())
        expect(at.page.locator("#updated")).to_contain_text("does not answer", timeout=10_000)
        at.problems.clear()  # the console's line about the request that this test has cut


PAGE = b"<!doctype html><meta charset=utf-8><form method=post enctype=text/plain><input name=x></form>"
ASK = """async ([url, authorization]) => {
  const body = "CREATE TABLE made_by_a_page (x Int8) ENGINE = Log";
  const tried = options => fetch(url, {method: "POST", body, ...options})
    .then(answer => answer.status || answer.type, () => "refused");
  return [await tried({mode: "no-cors"}), await tried({}), await tried({headers: {authorization}})];
}"""
SEND = """url => {
  const form = document.forms[0];
  form.action = url + "?query=CREATE+TABLE+made_by_a_page+(x+Int8)+ENGINE=Log";
  form.submit();
}"""


class Elsewhere(BaseHTTPRequestHandler):
    """A site of somebody else, as far as a browser is concerned: another port is another origin."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def test_a_page_that_is_open_in_the_browser_gets_no_statement_into_clickhouse(
    browser: Browser, running: dict[str, Any]
) -> None:
    parts = urlsplit(running["clickhouse_url"])
    url = f"http://127.0.0.1:{parts.port}/"
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as site, browser.new_context() as context:
        Thread(target=site.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{site.server_address[1]}/")
        seen: list[int] = []
        page.on("response", lambda answer: seen.append(answer.status))
        assert page.evaluate(ASK, [url, basic(parts.password or "")]) == ["opaque", "refused", "refused"]
        with page.expect_navigation():
            page.evaluate(SEND, url)
        assert "web pages (Origin) are refused" in page.inner_text("body")
        assert seen.count(403) == 2, "the first and the form came through to the gate, which refused them"
        site.shutdown()
    assert connect(running["clickhouse_url"]).query("EXISTS TABLE made_by_a_page").result_rows == [(0,)]
