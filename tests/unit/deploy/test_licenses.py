"""What is in the image may be used by anybody, and the list of it is current."""

from importlib.metadata import metadata

import pytest

from tests.support.licenses import FILE_COPYLEFT, LISTING, PERMISSIVE, license_of, locked, render, words


def test_the_list_is_current() -> None:
    assert LISTING.read_text() == render(), "run: python -m tests.support.licenses"


@pytest.mark.parametrize("name", locked())
def test_every_licence_asks_for_its_notice_alone_but_for_mpl_2_where_it_is_named(name: str) -> None:
    named = words(license_of(metadata(name)))
    assert named, f"{name} says nothing of its licence"
    assert named - PERMISSIVE == FILE_COPYLEFT.get(name, set())


def test_every_package_that_is_excepted_is_in_the_image() -> None:
    assert set(locked()) >= FILE_COPYLEFT.keys()


def test_an_expression_is_taken_apart() -> None:
    assert words("(MIT OR Apache-2.0) AND GPL-3.0-only WITH X") == {"MIT", "Apache-2.0", "GPL-3.0-only", "X"}
