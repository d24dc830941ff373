"""The rooms of the house: who may import whom, and how large anything may grow."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.source import PACKAGES, ROOT, imported, name_of, sources

ALLOWED = {
    "schemas": {"schemas"},
    "pipeline": {"pipeline", "schemas"},
    "api": {"api", "schemas"},
    "deploy": {"deploy", "pipeline", "api", "schemas"},
}
PURE = (
    "pipeline/core",
    "pipeline/registry/payloads",
    *(
        f"api/{n}.py"
        for n in ("params", "window", "cursor", "cache_key", "answer", "render", "negotiate", "openapi", "head")
    ),
)
EFFECTS = {
    *("asyncio", "concurrent", "logging", "os", "random", "secrets", "socket", "subprocess", "threading"),
    *("time", "uuid"),
    *("aiokafka", "clickhouse_connect", "confluent_kafka", "faust", "prometheus_client"),
}
EXEMPT = {"pipeline/core/ledger.py": {"threading"}, "pipeline/core/clocks.py": {"threading"}}
"""The values that threads share: Faust's takes batches and the worker's admits them; any reads a clock."""

MOST_LINES = 300

MOST_ROOMS, MOST_FLOORS, MOST_ARROWS = 11, 4, 33


def packages(file: Path) -> set[str]:
    return {module.split(".")[0] for module in imported(file.read_text())}


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    for file in sources(package):
        assert packages(file) & set(ALLOWED) <= ALLOWED[package], file


@pytest.mark.parametrize("place", PURE)
def test_pure_code_has_no_clock_no_network_and_no_log(place: str) -> None:
    for file in sources(place):
        assert packages(file) & EFFECTS == EXEMPT.get(name_of(file), set()), file


def test_the_pipeline_has_few_rooms_few_floors_and_few_arrows() -> None:
    """Rooms are files and folders, arrows their imports; a room stands one floor above the highest that it imports."""
    rooms = rooms_of("pipeline")
    assert len(rooms) <= MOST_ROOMS, sorted(rooms)
    arrows = [(room, other) for room, others in rooms.items() for other in sorted(others)]
    assert len(arrows) <= MOST_ARROWS, arrows
    assert floors(rooms) <= MOST_FLOORS, arrows


def test_rooms_that_import_each_other_have_no_floor() -> None:
    assert floors({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == 3
    with pytest.raises(CycleError):
        floors({"a": {"b"}, "b": {"a"}})


def rooms_of(package: str) -> dict[str, set[str]]:
    """Rooms directly below a package, each with the rooms that it imports."""
    rooms: dict[str, set[str]] = {
        path.stem: set()
        for path in (ROOT / package).iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or any(path.glob("*.py")))
    }
    for file in sources(package):
        room = file.relative_to(ROOT / package).with_suffix("").parts[0]
        if room in rooms:
            found = {module.split(".")[1] for module in imported(file.read_text()) if module.startswith(package + ".")}
            rooms[room] |= found & rooms.keys() - {room}
    return rooms


def floors(rooms: dict[str, set[str]]) -> int:
    """The length of the longest chain of imports. Raises CycleError for a circle."""
    floor: dict[str, int] = {}
    for room in TopologicalSorter(rooms).static_order():
        floor[room] = 1 + max((floor[other] for other in rooms[room]), default=0)
    return max(floor.values())


def test_files_stay_small_enough_to_read() -> None:
    lines = {name_of(file): len(file.read_text().splitlines()) for file in sources(*PACKAGES, "tests")}
    assert {file: count for file, count in lines.items() if count > MOST_LINES} == {}
