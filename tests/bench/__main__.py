"""``make bench``: one table of what this system does on this machine, beside what else one would take.

Parts: ingest, envelopes, closing, freshness, charges, endpoint, growth, view (``ARGS="ingest endpoint"``). ``--scale
1`` is 5 M events through the worker, a backfill of 5 M into 20 M facts and an endpoint on up to 50 M; the default is a
tenth.
"""

import argparse
import os
import platform
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.bench import charges, closing, endpoint, envelopes, freshness, growth, ingest, view
from tests.bench.figures import Figures
from tests.bench.peers import PEERS
from tests.bench.picture import draw
from tests.support.system import ROOT

PARTS = ("ingest", "envelopes", "closing", "freshness", "charges", "endpoint", "growth", "view")
SCALE = 0.1
QUIET_LOAD = 0.5
REMARK_CHARACTERS = 500


def main() -> None:
    """Measure what was asked for; the exit code is 0 whatever the figures are, 1 where a part could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all unless named")
    parser.add_argument("--scale", type=float, default=SCALE, help=f"share of the full amounts (default {SCALE})")
    parser.add_argument("--peers", default="", help=f"of {', '.join(PEERS)}, with commas; fetched when missing")
    parser.add_argument("--output", type=Path, default=ROOT / ".cache" / "bench", help="where JSON and picture go")
    words = parser.parse_args()
    parts, peers = words.parts or list(PARTS), [name for name in words.peers.split(",") if name]
    if unknown := [*(set(parts) - set(PARTS)), *(set(peers) - set(PEERS))]:
        parser.error(f"unknown: {', '.join(unknown)}")
    words.output.mkdir(parents=True, exist_ok=True)
    figures = Figures(_title(words.scale))
    failed = _measure(figures, parts, words.scale, peers, words.output)
    print(f"\n{figures.text()}\n\nwritten to {words.output}/bench.json and bench.png")
    sys.exit(bool(failed))


def _measure(figures: Figures, parts: list[str], scale: float, peers: list[str], output: Path) -> list[str]:
    """Measure part by part, and write down what is known after each. Answers those that could not be measured."""
    failed: list[str] = []
    load = os.getloadavg()[0]
    if load > QUIET_LOAD * (os.cpu_count() or 1):
        figures.remark(f"the load average was {load:.1f} when this began: other work disturbs these figures")
    for part in parts:
        began = time.monotonic()
        print(f"\n{part}", flush=True)
        try:
            _measure_part(figures, part, scale, peers)
        except (Exception, SystemExit, pytest.fail.Exception, pytest.skip.Exception) as error:
            figures.remark(f"{part} could not be measured to its end: {str(error)[-REMARK_CHARACTERS:]}")
            failed.append(part)
        figures.write(output / "bench.json")
        if figures.rows:
            draw(figures, output / "bench.png")
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)
    return failed


def _measure_part(figures: Figures, part: str, scale: float, peers: list[str]) -> None:
    match part:
        case "ingest":
            ingest.measure(figures, scale, peers)
        case "envelopes":
            envelopes.measure(figures)
        case "closing":
            closing.measure(figures, scale)
        case "freshness":
            freshness.measure(figures, scale)
        case "charges":
            charges.measure(figures, scale)
        case "endpoint":
            endpoint.measure(figures, scale)
        case "growth":
            growth.measure(figures, scale)
        case "view":
            view.measure(figures, scale)


def _title(scale: float) -> str:
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    python, cores = platform.python_version(), os.cpu_count()
    return f"Message Metrics on {cores} cores, broker and ClickHouse included; scale {scale:g}; Python {python}; {when}"


if __name__ == "__main__":
    main()
