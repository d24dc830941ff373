"""Metadata of topics that a consumer does not read, from aiokafka's own routine that keeps them."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from aiokafka.client import AIOKafkaClient

from pipeline.core.place import Place
from pipeline.kafka.log_consumer import LogConsumer
from pipeline.kafka.topics import existing

SECONDS = 5.0
LONG_MS = 60_000
"""Nothing here may wait until the metadata are too old."""


class Brokers:
    """Answers questions for metadata one by one, when it is let; each topic has two partitions."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self.client, self.asked, self.let = client, list[set[str]](), asyncio.Semaphore(0)
        client._metadata_update = self._answer

    async def _answer(self, cluster: Any, topics: set[str]) -> bool:
        self.asked.append(set(topics))
        asked = set(topics)
        await self.let.acquire()
        cluster._partitions = {topic: {0: None, 1: None} for topic in asked if topic != "gone"}
        return True


def play(test: Callable[[LogConsumer, Brokers], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        consumer: LogConsumer = LogConsumer.__new__(LogConsumer)
        consumer._closed, consumer._others = True, set()
        consumer._client = AIOKafkaClient(metadata_max_age_ms=LONG_MS)
        consumer._keep_others()
        brokers = Brokers(consumer._client)
        consumer._client.set_topics(["ours"])
        keeping = asyncio.create_task(consumer._client._md_synchronizer())
        try:
            async with asyncio.timeout(SECONDS):
                await test(consumer, brokers)
        finally:
            keeping.cancel()

    asyncio.run(main())


async def until_asked(brokers: Brokers, times: int) -> None:
    while len(brokers.asked) < times:  # noqa: ASYNC110 - the routine has no event for it
        await asyncio.sleep(0)


def test_a_topic_that_is_added_while_metadata_are_asked_for_is_asked_for_before_there_is_an_answer() -> None:
    async def test(consumer: LogConsumer, brokers: Brokers) -> None:
        await until_asked(brokers, 1)
        asking = asyncio.create_task(existing(consumer, ["ours", "theirs", "gone"]))
        await asyncio.sleep(0)
        brokers.let.release()
        await until_asked(brokers, 2)
        assert not asking.done()
        brokers.let.release()
        found = await asking
        assert found["theirs"] == {Place("theirs", 0), Place("theirs", 1)}
        assert found["gone"] == frozenset()
        assert brokers.asked == [{"ours"}, {"ours", "theirs", "gone"}]
        assert await existing(consumer, ["theirs"]) == {"theirs": found["theirs"]}, "not asked for again"

    play(test)


def test_the_leader_of_a_group_that_sets_its_topics_neither_drops_the_others_nor_waits() -> None:
    async def test(consumer: LogConsumer, brokers: Brokers) -> None:
        for _ in range(2):
            brokers.let.release()
        await existing(consumer, ["theirs"])
        consumer._client.force_metadata_update()  # as is under way now and then
        await until_asked(brokers, len(brokers.asked) + 1)
        consumer._client.set_topics({"ours"})
        brokers.let.release()
        await consumer._client._maybe_wait_metadata()
        assert (await existing(consumer, ["theirs"]))["theirs"]

    play(test)
