"""The file by which other commands find a running ``dev``."""

from pathlib import Path

import pytest

from deploy.cli.dev_file import DEV_FILE, read_dev_file, remove_dev_file
from deploy.errors import Unreachable


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda _: None])
def test_a_dev_file_that_cannot_be_removed_is_no_reason_to_fail(make: object, tmp_path: Path) -> None:
    assert callable(make)
    make(tmp_path / DEV_FILE)
    remove_dev_file(tmp_path)
    with pytest.raises(Unreachable):
        read_dev_file(tmp_path)
