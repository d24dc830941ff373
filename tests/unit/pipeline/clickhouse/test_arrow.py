"""Columns for Arrow: each fact keeps the topic that it was read from."""

import pytest

from pipeline.clickhouse.arrow import facts_table
from pipeline.core.place import Place
from tests.support.stores import DAY, facts


@pytest.mark.parametrize("topics", [[], ["one"], ["one", "one"], ["one", "two", "one"]])
def test_every_fact_has_its_topic(topics: list[str]) -> None:
    columns = facts(*(("a", str(n), 1, 0, DAY) for n in range(len(topics))))
    columns.place[:] = [Place(topic, 0) for topic in topics]
    table = facts_table(columns)
    assert table["topic"].to_pylist() == topics
    assert str(table["topic"].type) == "string"
