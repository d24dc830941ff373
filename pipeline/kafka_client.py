"""Kafka connection settings as Faust and aiokafka want them, and the cluster's identity."""

import ssl
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.helpers import create_ssl_context
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from schemas.settings import Settings


def ssl_context(settings: Settings) -> ssl.SSLContext | None:
    """The TLS context of the settings; None where the protocol has no TLS."""
    if "SSL" not in settings.kafka_security_protocol.split("_"):
        return None
    context: ssl.SSLContext = create_ssl_context(
        cafile=settings.kafka_ssl_cafile or None,
        certfile=settings.kafka_ssl_certfile or None,
        keyfile=settings.kafka_ssl_keyfile or None,
    )
    return context


def credentials(settings: Settings) -> Any:
    """Faust's credentials for the settings; None for PLAINTEXT."""
    context = ssl_context(settings)
    if settings.kafka_security_protocol.startswith("SASL"):
        return SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password,
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None


async def read_cluster_id(settings: Settings) -> str:
    """The id that progress is stored under: the setting, or what the brokers report. Raises KafkaError."""
    if settings.kafka_cluster_id:
        return settings.kafka_cluster_id
    auth = credentials_to_aiokafka_auth(credentials(settings), None)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap, **auth)
    await admin.start()
    try:
        description = await admin.describe_cluster()
        return str(description.get("cluster_id") or "unnamed")
    finally:
        await admin.close()
