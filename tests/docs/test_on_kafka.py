"""The operators' guide, played on the production shape."""

from tests.docs.stage import Stage


def test_every_block_of_the_operators_guide_runs(kafka_stage: Stage) -> None:
    kafka_stage.play("docs/operators.md")
