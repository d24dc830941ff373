"""The documents of newcomers, producers and clients, played on what `make run` starts."""

import pytest

from tests.docs.stage import Stage


@pytest.mark.parametrize(
    "document",
    ["README.md", "docs/producers.md", "docs/clients.md", "docs/money.md", "docs/architecture.md", "docs/compare.md"],
)
def test_every_block_runs_and_every_answer_has_its_shape(dev_stage: Stage, document: str) -> None:
    dev_stage.play(document)
