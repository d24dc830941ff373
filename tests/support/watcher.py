"""A client that polls the endpoint all along and notes what must never happen."""

from datetime import datetime, timedelta
from typing import Any

import httpx2

from tests.support.background import Background
from tests.support.ledger import Ledger
from tests.support.recount import FORMAT, exact_json

POLL_SECONDS = 0.3


class Watcher(Background):
    """Watches the minutes from ``start`` on: as_of never goes back, a number never becomes null or changes."""

    def __init__(self, url: str, key: str, start: datetime) -> None:
        super().__init__()
        self._url, self._headers = f"{url}/v1/metrics/messages", {"Authorization": f"Bearer {key}"}
        self.start = start
        self._seen: dict[str, Any] = {}
        self._as_of = ""
        self.problems: list[str] = []

    @property
    def final_buckets(self) -> int:
        """How many minutes were seen with a number."""
        return len(self._seen)

    def _run(self) -> None:
        query = {"metric": "sent", "granularity": "minute", "from": self.start.strftime(FORMAT)}
        query["to"] = (self.start + timedelta(minutes=30)).strftime(FORMAT)
        with httpx2.Client(headers=self._headers, timeout=10) as client:
            while not self._stop.wait(POLL_SECONDS):
                response = client.get(self._url, params=query)
                if response.status_code != 200:
                    self.problems.append(response.text)
                else:
                    self._note(exact_json(response.text))

    def _note(self, answer: Any) -> None:
        as_of = answer["meta"]["as_of"]
        if as_of < self._as_of:
            self.problems.append(f"as_of went back from {self._as_of} to {as_of}")
        self._as_of = as_of
        for bucket in answer["data"]["buckets"]:
            start, value = bucket["bucket_start"], bucket["value"]
            if start in self._seen and self._seen[start] != value:
                self.problems.append(f"{start} changed from {self._seen[start]} to {value}")
            if value is not None:
                self._seen[start] = value

    def check(self, ledger: Ledger, org: str) -> None:
        """Nothing wrong was seen, and each number was right at once."""
        expected = ledger.expected("minute")
        wrong = {s: v for s, v in self._seen.items() if v != expected.get((org, s), {"sent": 0})["sent"]}
        assert not self.problems
        assert not wrong
