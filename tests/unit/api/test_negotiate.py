"""Content negotiation from the headers of a request."""

import tracemalloc

import pytest

from api.negotiate import CSV, JSON, NDJSON, accepts_gzip, is_not_modified, media_type


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV; charset=utf-8", CSV),
        ("application/x-ndjson", NDJSON),
        ("text/html, text/csv;q=0.5, application/x-ndjson;q=0.9", NDJSON),
        ("text/csv;q=0, */*", JSON),
        ("text/*", JSON),
        ("image/png", JSON),
        ("text/csv;q=x", JSON),
    ],
)
def test_accept_chooses_the_format_and_anything_else_gets_json(accept: str, kind: str) -> None:
    assert media_type(accept) == kind


@pytest.mark.parametrize(
    ("header", "same"),
    [(None, False), ('W/"a"', True), ('"a"', True), ('"x", W/"a"', True), ("*", True), ('"b"', False), ("", False)],
)
def test_validators_are_compared_weakly(header: str | None, same: bool) -> None:
    assert is_not_modified(header, 'W/"a"') is same


def test_whatever_is_remembered_of_headers_has_a_bound() -> None:
    """Each of these would stay in memory for as long as the process lives."""
    tracemalloc.start()
    try:
        for number in range(300):
            assert media_type(f"text/csv;x={number:0100000}") == CSV
            assert accepts_gzip(f"gzip;x={number:0100000}")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1 << 20
