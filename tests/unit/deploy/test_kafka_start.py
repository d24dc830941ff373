"""The cluster id that the compose file's broker starts with; a real one takes it in test_compose_engines.py."""

import base64
import re
from pathlib import Path

import pytest

from tests.support.compose import started_cluster_id

IMAGES_OWN = "5L6g3nShT-eMCtK--X86sw"
"""What apache/kafka starts with where nothing is set."""


def test_every_new_volume_gets_an_id_of_its_own_as_kafka_writes_them(tmp_path: Path) -> None:
    made = [started_cluster_id(tmp_path) for _ in range(20)]
    assert len({*made, IMAGES_OWN}) == 21
    for one in made:
        assert re.fullmatch("[A-Za-z0-9]{22}", one)
        assert len(base64.b64decode(one + "==", validate=True)) == 16


@pytest.mark.parametrize("kept", [IMAGES_OWN, "MkU3OEVBNTcwNTJENDM2Qg"])
def test_a_volume_that_has_an_id_keeps_it(kept: str, tmp_path: Path) -> None:
    (tmp_path / "meta.properties").write_text(f"#\nversion=1\ncluster.id={kept}\nnode.id=1\n")
    assert started_cluster_id(tmp_path) == kept
