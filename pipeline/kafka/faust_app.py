"""The Faust application: one agent on all topics, whose messages are whole batches.

A transport that hands on one message per partition and fetch, whose value is the batch: what Faust costs, it costs per
batch. It reaches into private parts of faust-streaming, which is therefore pinned exactly.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

import faust
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from yarl import URL

from pipeline.core.flush import Batch
from pipeline.kafka.client import credentials
from pipeline.kafka.consumer import BatchConsumerThread, Hooks
from pipeline.kafka.topics import never_create_topics
from schemas.settings import Settings


class App(faust.App):
    """Faust's application, without the directory that it makes for the tables that we do not have.

    A worker writes no file, so that it runs on a read-only root.
    """

    def _create_directories(self) -> None:
        """Makes none."""

    @property
    def kafka_thread(self) -> BatchConsumerThread:
        """The thread that talks to Kafka. Its consumer exists once the app has started."""
        thread: BatchConsumerThread = self.consumer.thread
        return thread


class BatchSchema(Schema[Any, Any]):
    """Hands the batch on as it is: it is decoded when it is added to the chunk."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


class NoReadOffsets(defaultdict[Any, None]):
    """Disables Faust's high-water filter, which drops messages below the highest offset that it has handed on.

    After a rebalance a stale message would set it, and the new reading, which starts lower, would be dropped in
    silence. ``Ledger`` decides what is stale.
    """

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def __setitem__(self, tp: Any, offset: int | None) -> None:
        """Forget it."""


class BatchConsumer(driver.Consumer):
    """Faust's consumer, with batches as messages."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = NoReadOffsets()

    @property
    def thread(self) -> BatchConsumerThread:
        """The thread that this consumer has made for itself."""
        thread: BatchConsumerThread = self._thread
        return thread

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def _to_message(self, tp: TP, record: Any) -> Any:
        batch: Batch = record
        return driver.ConsumerMessage(
            tp.topic, tp.partition, batch.next_offset - 1, None, None, None, None, batch, None, None, None, tp,
            generation_id=self.app.consumer_generation_id,
        )  # fmt: skip

    def highwater(self, tp: TP) -> int:
        """Only Faust's own monitor asks, per message; the worker's figures come from ``offsets.log_ends``."""
        return 0


class BatchTransport(driver.Transport):
    """Faust's Kafka transport with our consumer. ``hooks`` must be set before the app starts."""

    Consumer = BatchConsumer
    hooks: Hooks


def build_app(settings: Settings, hooks: Hooks, consume: Callable[[Any], Any]) -> App:
    """A Faust app with one agent on all topics and the batch transport. Nothing starts yet."""
    never_create_topics()
    brokers = [URL(f"kafka://{address.strip()}") for address in settings.kafka_bootstrap.split(",")]
    app = App(
        settings.kafka_group,
        broker=brokers,
        broker_credentials=credentials(settings),
        broker_session_timeout=settings.kafka_session_timeout_seconds,
        broker_heartbeat_interval=settings.kafka_heartbeat_seconds,
        broker_request_timeout=max(settings.kafka_session_timeout_seconds + 5, 15),
        stream_wait_empty=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        store="memory://",
        stream_buffer_maxsize=64,
    )
    transport = BatchTransport(brokers, app)
    transport.hooks = hooks
    app.transport = transport
    topics = app.topic(*settings.topics, schema=BatchSchema(), acks=False)
    app.agent(topics, name="message-events")(consume)
    return app
