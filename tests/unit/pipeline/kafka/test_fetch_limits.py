"""The limits that many partitions together must not exceed."""

import pytest

from pipeline.kafka import fetcher
from pipeline.worker.pauses import ENDS_A_SECOND, Pauses
from tests.support.fake_broker import Broker, close, tp_of
from tests.support.reading import batch, kept, reading, run

SIZE = len(batch(b"x" * 1000))


def test_what_is_fetched_ahead_of_all_partitions_together_has_a_limit_and_goes_on_as_it_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetcher, "PREFETCH_BYTES", 3 * SIZE)

    async def main() -> None:
        reader = reading(broker := Broker({n: [batch(b"x" * 1000)] for n in range(8)}), *range(8))
        broker.pays_heed = True
        await kept(reader)
        await reader.until(lambda: len(reader.offsets) == 8)
        await close(reader.consumer)
        assert max(broker.answered) <= 3 * SIZE
        assert len(broker.asked) >= 3

    run(main)


def test_where_there_is_no_room_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "PREFETCH_BYTES", SIZE)

    async def main() -> None:
        reader = reading(broker := Broker({n: [batch(b"x" * 1000)] for n in range(2)}), 0, 1)
        broker.pays_heed = True
        await kept(reader)
        asked = len(broker.asked)
        (tp,) = reader.consumer.kept()
        requests, *_ = reader.consumer._fetcher._get_actions_per_node(
            reader.consumer._subscription.subscription.assignment
        )
        assert requests == []
        assert len(broker.asked) == asked
        reader.consumer.drop(tp)
        await reader.until(lambda: tp_of(0) != tp or bool(reader.offsets))
        await close(reader.consumer)

    run(main)


def test_a_few_partitions_are_asked_about_at_every_tick_and_very_many_less_often() -> None:
    assert Pauses().between_ticks(24) == Pauses().tick
    assert Pauses().between_ticks(10 * ENDS_A_SECOND) == 10.0
