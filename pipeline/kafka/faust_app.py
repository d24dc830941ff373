"""The Faust application: one agent on the topic, with our transport."""

from collections.abc import Callable
from typing import Any

import faust
from yarl import URL

from pipeline.kafka.client import credentials
from pipeline.kafka.consumer import BatchSchema, BatchTransport, Hooks
from schemas.settings import Settings


class App(faust.App):
    """Faust's application, without the directory that it makes for the tables that we do not have.

    A worker writes no file, so that it runs on a read-only root.
    """

    def _create_directories(self) -> None:
        """Makes none."""


def build_app(settings: Settings, hooks: Hooks, consume: Callable[[Any], Any]) -> faust.App:
    """A Faust app with one agent on the topic and the batch transport. Nothing starts yet."""
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
    topic = app.topic(settings.kafka_topic, schema=BatchSchema(), acks=False)
    app.agent(topic, name="message-events")(consume)
    return app
