"""Invoice files held against our numbers: rollups written by hand, and the command as a user types it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from deploy.cli.main import run
from schemas import tables
from schemas.grain import Grain
from schemas.instant import epoch_seconds

COLUMNS = "date=day,channel=kind,count=n,cost=cents"
GROUPS = ("channel", "error_code", "sent", "delivered", "failed", "cost_cents")
Row = tuple[str, int, int, int, str]
"""Channel, sent, delivered, failed, cost in cents."""
Say = Callable[..., tuple[int, str, str]]


def put(client: Client, grain: Grain, org: str, rows: Mapping[int, Sequence[Row]]) -> None:
    """Store rows of a rollup: bucket (epoch seconds) to its groups."""
    names = ["org_id", "bucket", "facts", *(f"groups.{name}" for name in GROUPS)]
    values = [
        [org, datetime.fromtimestamp(bucket, UTC), len(groups), [g[0] for g in groups], [""] * len(groups),
         *([g[n] for g in groups] for n in (1, 2, 3)), [Decimal(g[4]) for g in groups]]
        for bucket, groups in rows.items()
    ]  # fmt: skip
    client.insert(tables.rollup_table(grain), values, column_names=names)


def put_all(client: Client, org: str, minutes: dict[int, list[Row]]) -> None:
    """Store minutes, and the hours that they add up to."""
    hours: dict[int, list[Row]] = {}
    for minute, groups in minutes.items():
        hours.setdefault(Grain.HOUR.floor(minute), []).extend(groups)
    put(client, Grain.MINUTE, org, minutes)
    put(client, Grain.HOUR, org, hours)


def at(text: str) -> int:
    return epoch_seconds(datetime.fromisoformat(text))


def commanded(url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], directory: Path) -> Say:
    """``compare`` of a file with some content, on a database: exit code, stdout and stderr."""
    monkeypatch.setenv("MSGMETRICS_CLICKHOUSE_URL", url)

    def compare(
        content: str | bytes,
        *words: str,
        org: str = "acme",
        start: str = "2026-04-01T00:00:00Z",
        end: str = "2026-04-03T00:00:00Z",
        columns: str = COLUMNS,
        count: str = "sent",
    ) -> tuple[int, str, str]:
        file = directory / "invoice.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        asked = ["--org", org, "--from", start, "--to", end, "--columns", columns]
        code = run(["compare", str(file), *asked, *(["--count", count] if count else []), *words])
        out, err = capfd.readouterr()
        return code, out.replace(str(directory), "."), err

    return compare
