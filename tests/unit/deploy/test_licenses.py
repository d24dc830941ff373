"""What is in the image may be used by anybody, and the list of it is current."""

import pytest

from tests.support.licenses import LISTING, PERMISSIVE, license_of, locked, render, words


def test_the_list_is_current() -> None:
    assert LISTING.read_text() == render(), "run: python -m tests.support.licenses"


@pytest.mark.parametrize("name", locked())
def test_every_package_has_a_licence_that_asks_for_nothing_but_its_notice(name: str) -> None:
    from importlib.metadata import metadata

    named = words(license_of(metadata(name)))
    assert named, f"{name} says nothing of its licence"
    assert named <= PERMISSIVE


def test_an_expression_is_taken_apart() -> None:
    assert words("(MIT OR Apache-2.0) AND GPL-3.0-only WITH X") == {"MIT", "Apache-2.0", "GPL-3.0-only", "X"}
