"""A real broker that lets nobody in without TLS and a name, and nobody do what the ACLs do not say."""

import asyncio
import base64
import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any
from unittest import mock

from aiokafka.conn import AIOKafkaConnection
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from pipeline.kafka.client import read_cluster_id
from schemas.settings import Settings
from tests.support.certificates import Authority
from tests.support.kafka_broker import KafkaBroker, free_port
from tests.support.system import ROOT

PASSWORDS = {"worker": "w0rker-secret", "operator": "0perator-secret", "stranger": "stranger-secret"}
JAAS = "org.apache.kafka.common.security"
LOGIN_MODULES = {
    "SCRAM-SHA-512": "scram.ScramLoginModule required",
    "SCRAM-SHA-256": "scram.ScramLoginModule required",
    "PLAIN": " ".join(
        ["plain.PlainLoginModule required", *(f'user_{name}="{password}"' for name, password in PASSWORDS.items())]
    ),
    "OAUTHBEARER": "oauthbearer.OAuthBearerLoginModule required",
}
"""Every mechanism that is a setting, and who decides at the broker. All but OAUTHBEARER know the same passwords."""


class SecuredBroker:
    """SASL_SSL for every mechanism of ours, SSL with client certificates, ACLs from deploy/kafka/acls.sh.

    The tests' own producer uses the plain listener, whose nameless user is the administrator.
    """

    def __init__(self, directory: Path, authority: Authority) -> None:
        sasl, mutual = free_port(), free_port()
        self.sasl, self.mutual = f"127.0.0.1:{sasl}", f"127.0.0.1:{mutual}"
        identity = authority.issue("broker")
        self.broker = KafkaBroker(
            directory,
            ROOT / ".cache",
            scram=PASSWORDS,
            extra={
                "listeners": "PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port},"
                f"SASL_SSL://{self.sasl},SSL://{self.mutual}",
                "advertised.listeners": f"PLAINTEXT://127.0.0.1:{{port}},SASL_SSL://{self.sasl},SSL://{self.mutual}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(identity.both),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(authority.cafile),
                "listener.name.ssl.ssl.client.auth": "required",
                "ssl.principal.mapping.rules": "RULE:^.*CN=([a-z]+).*$/$1/,DEFAULT",
                "sasl.enabled.mechanisms": ",".join(LOGIN_MODULES),
                **{
                    f"listener.name.sasl_ssl.{mechanism.lower()}.sasl.jaas.config": f"{JAAS}.{module};"
                    for mechanism, module in LOGIN_MODULES.items()
                },
                "connections.max.reauth.ms": "3600000",
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            },
        ).start()
        admin = self.broker.admin()
        for future in admin.create_acls(acls(directory)).values():
            future.result(30)


def acls(directory: Path) -> list[AclBinding]:
    """What deploy/kafka/acls.sh asks Kafka's own tool for, which is a stand-in that writes its words down."""
    tool, asked = directory / "bin" / "kafka-acls.sh", directory / "asked"
    tool.parent.mkdir(parents=True, exist_ok=True)
    tool.write_text(f'#!/bin/sh\necho "$@" >> {asked}\n')
    tool.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}"}
    subprocess.run([ROOT / "deploy" / "kafka" / "acls.sh", "broker:1", "admin.properties"], env=environment, check=True)
    return [acl for line in asked.read_text().splitlines() for acl in _bindings(line)]


def _bindings(line: str) -> list[AclBinding]:
    (user,) = re.findall(r"--allow-principal (\S+)", line)
    ((kind, name),) = re.findall(r"--(topic|group) (\S+)", line)
    operations = re.findall(r"--operation (\S+)", line)
    return [
        AclBinding(
            ResourceType[kind.upper()],
            name,
            ResourcePatternType.LITERAL,
            user,
            "*",
            AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()],
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]


def write_token(path: Path, subject: str, seconds: float) -> None:
    """A token without signature, as the broker's validator for trials accepts, valid for some seconds."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": subject, "iat": now, "exp": now + seconds})
    text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    draft = path.with_suffix(".draft")
    draft.write_text(text + ".\n")
    draft.rename(path)


async def read_until_closed(settings: Settings) -> str:
    """The cluster's id, once what aiokafka closes is closed: over TLS that takes a word with the broker.

    It waits neither for a refused connection nor for the one it began with, and the loop ends here.
    """
    closed: list[asyncio.Future[None]] = []
    original = AIOKafkaConnection.close

    def close(connection: AIOKafkaConnection, *args: Any, **how: Any) -> Any:
        future = original(connection, *args, **how)
        closed.append(future)
        return future

    with mock.patch.object(AIOKafkaConnection, "close", close):
        try:
            return await read_cluster_id(settings)
        finally:
            await asyncio.gather(*(future for future in closed if future))
