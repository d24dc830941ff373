"""Connection settings in the form of Faust and of aiokafka, and the cluster's id."""

import ssl
from typing import Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.helpers import create_ssl_context
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from schemas.settings import Settings
from schemas.token_file import TokenError, read_token


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


class FileToken(AbstractTokenProvider):
    """Gives aiokafka the token that the file has when a connection is made."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def token(self) -> str:
        try:
            return read_token(self._path)
        except TokenError as error:
            raise KafkaError(str(error)) from None  # like a broker that refuses: tried again until it works


def credentials(settings: Settings) -> Any:
    """Faust's credentials for the settings; None for PLAINTEXT."""
    context = ssl_context(settings)
    is_sasl = settings.kafka_security_protocol.startswith("SASL")
    if is_sasl and settings.kafka_sasl_mechanism == "OAUTHBEARER":
        return OAuthCredentials(oauth_cb=FileToken(settings.kafka_oauth_token_file), ssl_context=context)
    if is_sasl:
        return SASLCredentials(
            username=settings.kafka_sasl_username,
            password=settings.kafka_sasl_password,
            mechanism=settings.kafka_sasl_mechanism,
            ssl_context=context,
        )
    return SSLCredentials(context) if context else None


def connection(settings: Settings) -> dict[str, Any]:
    """Arguments with which aiokafka's own clients reach the brokers."""
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        **credentials_to_aiokafka_auth(credentials(settings), None),
    }


async def read_cluster_id(settings: Settings) -> str:
    """The id that progress is stored under: the setting, or what the brokers report. Raises KafkaError."""
    if settings.kafka_cluster_id:
        return settings.kafka_cluster_id
    admin = AIOKafkaAdminClient(**connection(settings))
    await admin.start()
    try:
        description = await admin.describe_cluster()
        return str(description.get("cluster_id") or "unnamed")
    finally:
        await admin.close()
