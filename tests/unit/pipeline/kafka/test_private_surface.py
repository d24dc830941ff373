"""Members of Faust, mode and aiokafka that we touch and that they promise nobody: an upgrade tells here first.

After one, read the new version at each of these places, and only then change READ_IN.
"""

import ast
import functools
import importlib
import importlib.metadata
import inspect
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import aiokafka.admin.client
import aiokafka.client
import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.abc import AbstractTokenProvider
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment, Subscription, SubscriptionState, TopicPartitionState
from aiokafka.protocol.api import Request, RequestStruct, Response
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from mode.services import Service
from mode.threads import ServiceThread

import pipeline.kafka

ROOT = Path(__file__).parents[4]
READ_IN = {"faust-streaming": "0.15.3", "mode-streaming": "0.7.1", "aiokafka": "0.14."}

Member = tuple[type | ModuleType, str, str]
"""A class or module, the name, and its purpose."""

USED: list[Member] = [
    # aiokafka, the consumer and what it is made of
    (AIOKafkaConsumer, "_fetcher", "holds what was fetched; asked for log ends at the other isolation level"),
    (AIOKafkaConsumer, "_coordinator", "asked for all committed offsets at once, and for one attempt to commit"),
    (AIOKafkaConsumer, "_subscription", "knows the assignment, its positions, and whether the group is being joined"),
    (AIOKafkaConsumer, "_client", "a replay has it fetch the metadata of the topic, which it has not subscribed to"),
    (AIOKafkaConsumer, "_closed", "ends the fetching"),
    (AIOKafkaClient, "force_metadata_update", "is waited for: afterwards the partitions of the topic are known"),
    (GroupCoordinator, "fetch_committed_offsets", "one request for all partitions; nothing committed is left out"),
    (GroupCoordinator, "need_rejoin", "no commit while this is so"),
    (GroupCoordinator, "_do_commit_offsets", "one attempt to commit, which raises what the broker answers"),
    (Fetcher, "_records", "what was fetched, by partition, with calculate_backoff(); what is deleted is fetched on"),
    (Fetcher, "_client", "sends a fetch; has the metadata asked for when a leader has moved"),
    (Fetcher, "_retry_backoff", "seconds to wait after a broker that did not answer"),
    (Fetcher, "_subscriptions", "the consumer's SubscriptionState"),
    (Fetcher, "_closed", "ends the fetching"),
    (Fetcher, "_notify", "sets a future, here the next one"),
    (Fetcher, "_wait_consume_future", "wakes up the routine that sends fetches"),
    (Fetcher, "_create_fetch_waiter", "a future that is done when something was fetched, or failed for good"),
    (Fetcher, "_isolation_level", "replaced in a copy, to ask for the end that open transactions hide"),
    (Fetcher, "end_offsets", "asks that copy"),
    (SubscriptionState, "subscription", "None before the first one"),
    (SubscriptionState, "reassignment_in_progress", "nothing is taken or committed meanwhile"),
    (SubscriptionState, "fetch_context", "tells aiokafka that records are being asked for, as its getmany does"),
    (Subscription, "assignment", "None before the first one"),
    (Assignment, "tps", "the assigned partitions"),
    (Assignment, "active", "False once it is no longer the one"),
    (Assignment, "state_value", "the state of one of them"),
    (TopicPartitionState, "has_valid_position", "False until the first seek"),
    (TopicPartitionState, "position", "the next offset to hand on"),
    (TopicPartitionState, "paused", "what was fetched before a pause is dropped, as aiokafka does"),
    (TopicPartitionState, "consumed_to", "moves the position"),
    (AIOKafkaConsumer, "_fetch_max_wait_ms", "as it was made with"),
    (AIOKafkaConsumer, "_max_partition_fetch_bytes", "as it was made with"),
    (ClusterMetadata, "leader_for_partition", "None or -1 where there is none"),
    (AIOKafkaClient, "cluster", "the metadata"),
    (AIOKafkaClient, "_topics", "the topics whose metadata are asked for"),
    (AIOKafkaClient, "set_topics", "sets them; a future that is done when their metadata are there"),
    (AIOKafkaClient, "_md_update_waiter", "wakes up the routine that asks for metadata"),
    (AIOKafkaClient, "send", "asks a broker"),
    # Faust and mode
    (driver, "server_list", "host and port of every broker"),
    (driver, "credentials_to_aiokafka_auth", "credentials as arguments for aiokafka's clients"),
    (driver, "ConsumerMessage", "what its consumers hand on"),
    (driver.AIOKafkaConsumerThread, "consumer", "the Faust consumer that the thread belongs to"),
    (driver.AIOKafkaConsumerThread, "transport", "has our hooks"),
    (driver.AIOKafkaConsumerThread, "app", "has the settings"),
    (driver.Consumer, "_thread", "the thread that the consumer has made for itself"),
    (driver.Consumer, "flow_active", "False while a rebalance or the end of the worker holds everything back"),
    (driver.Consumer, "stop_flow", "the worker takes no more when it leaves"),
    (driver.AIOKafkaConsumerThread, "_ensure_consumer", "the aiokafka consumer of the thread"),
    (ServiceThread, "thread_loop", "the loop on which everything that touches the consumer runs"),
    (faust.App, "consumer_generation_id", "goes into every message; Faust drops those of another generation"),
    (faust.App, "create_event", "what a schema makes of a message"),
    (Service, "crashed", "Faust has given up; the worker ends"),
    (Service, "crash_reason", "and says why"),
]  # fmt: skip

REPLACED: list[Member] = [
    (aiokafka.client, "MetadataRequest", "the question for metadata, which would have a broker make a missing topic"),
    (aiokafka.admin.client, "MetadataRequest", "the same of the admin client"),
    (Request, "build", "is given the class of the version that both sides speak"),
    (RequestStruct, "FLEXIBLE_VERSION", "decides between the forms of headers"),
    (RequestStruct, "SCHEMA", "the fields of a question"),
    (Response, "SCHEMA", "the fields of an answer"),
    (AbstractTokenProvider, "token", "is asked for at every authentication"),
    (AIOKafkaConsumer, "start", "connects and makes the fetcher, which is replaced by ours before it is used"),
    (AIOKafkaConsumer, "_fetcher", "is made by start"),
    (Fetcher, "_get_actions_per_node", "makes the requests; before it, how much to ask for in all is set"),
    (Fetcher, "_fetch_max_bytes", "that much"),
    (Fetcher, "_proc_fetch_request", "sends a fetch and keeps what is answered; one task for each broker"),
    (faust.App, "_create_directories", "makes a directory for tables, which a read-only root refuses"),
    (Schema, "compile", "makes the decoder of a topic's messages"),
    (driver.Transport, "Consumer", "is instantiated by create_consumer"),
    (driver.Consumer, "_new_consumer_thread", "makes the thread, once, when the consumer is made"),
    (driver.Consumer, "_to_message", "makes a message of what _fetch_records returned, here of a batch"),
    (driver.Consumer, "_read_offset", "the high-water filter: messages below it are dropped"),
    (driver.Consumer, "highwater", "is asked for by Faust's monitor with every message"),
    (driver.AIOKafkaConsumerThread, "_create_worker_consumer", "makes the aiokafka consumer when the thread starts"),
    (driver.AIOKafkaConsumerThread, "verify_event_path", "logs errors by times that aiokafka's own fetcher notes"),
    (driver.AIOKafkaConsumerThread, "_fetch_records", "is called on the thread's loop for what to hand on next"),
    (driver.AIOKafkaConsumerThread, "seek_to_committed", "is called after every assignment, before the flow resumes"),
]  # fmt: skip

OF_PYTHON = {
    "os._exit": "documented",
    "part._replace": "a named tuple's, documented",
    "KafkaError._INVALID_ARG": "an error code of librdkafka, documented",
    "logging._srcfile": "documented; None spares the search for the caller",
}
PACKAGES = ("schemas", "pipeline", "deploy")


@functools.cache
def names_of(owner: type | ModuleType) -> set[str]:
    """The members of a class: what it and its bases define, and what their methods assign to ``self``."""
    if isinstance(owner, ModuleType):
        return set(dir(owner))
    return set(dir(owner)).union(*(_assigned(tree) for base in owner.__mro__ for tree in _source(base)))


def heirs() -> list[type]:
    """Our classes that inherit from Faust's or aiokafka's."""
    names = [module.name for module in pkgutil.iter_modules(pipeline.kafka.__path__, "pipeline.kafka.")]
    modules = [importlib.import_module(name) for name in names]
    ours = {c for m in modules for _, c in inspect.getmembers(m, inspect.isclass) if c.__module__ == m.__name__}
    return sorted((c for c in ours if _foreign(c)), key=lambda c: c.__name__)


def _foreign(heir: type) -> list[type]:
    return [base for base in heir.__mro__ if base.__module__.split(".")[0] in ("faust", "mode", "aiokafka")]


@functools.cache
def _source(owner: type) -> list[ast.Module]:
    try:
        return [ast.parse(textwrap.dedent(inspect.getsource(owner)))]
    except (OSError, TypeError):  # written in C
        return []


def _attributes(tree: ast.AST) -> Iterator[ast.Attribute]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))


def _is_of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _assigned(tree: ast.AST) -> set[str]:
    """Names that methods assign to ``self``."""
    return {node.attr for node in _attributes(tree) if _is_of_self(node) and isinstance(node.ctx, ast.Store)}


def _defined(tree: ast.AST) -> set[str]:
    """Names that the bodies of classes define, and that methods assign to ``self``."""
    bodies = [statement for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for statement in node.body]
    functions = {s.name for s in bodies if isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)}
    targets = [t for s in bodies for t in (s.targets if isinstance(s, ast.Assign) else [getattr(s, "target", None)])]
    return functions | {t.id for t in targets if isinstance(t, ast.Name)} | _assigned(tree)


@pytest.mark.parametrize(("distribution", "version"), READ_IN.items())
def test_these_members_were_read_in_the_version_that_is_installed(distribution: str, version: str) -> None:
    assert importlib.metadata.version(distribution).startswith(version)


@pytest.mark.parametrize(
    ("owner", "name", "purpose"),
    USED + REPLACED,
    ids=[f"{owner.__name__}.{name}" for owner, name, _ in USED + REPLACED],
)
def test_a_member_that_we_touch_exists(owner: type | ModuleType, name: str, purpose: str) -> None:
    assert name in names_of(owner), purpose


def test_the_list_names_only_what_is_touched() -> None:
    text = "".join(file.read_text() for file in (ROOT / "pipeline").rglob("*.py"))
    assert [name for _, name, _ in USED + REPLACED if not re.search(rf"\b{name}\b", text)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_private_member_is_touched(package: str) -> None:
    named = {name for _, name, _ in USED + REPLACED}
    for file in (ROOT / package).rglob("*.py"):
        tree = ast.parse(file.read_text())
        reached = {node for node in _attributes(tree) if _is_private(node.attr) and not _is_of_self(node)}
        foreign = {ast.unparse(node) for node in reached if node.attr not in named | _defined(tree)}
        assert foreign <= set(OF_PYTHON), file


@pytest.mark.parametrize("heir", heirs(), ids=[heir.__name__ for heir in heirs()])
def test_a_subclass_touches_only_members_that_are_named_here(heir: type) -> None:
    theirs = set().union(*(names_of(base) for base in _foreign(heir)))
    (tree,) = _source(heir)
    replaced = {name for name in _defined(tree) & theirs if not name.startswith("__")}
    assert replaced <= _named(REPLACED, heir), "a name of ours hides one of theirs"
    used = {node.attr for node in _attributes(tree) if _is_of_self(node) and _is_private(node.attr)}
    assert used & theirs <= _named(USED + REPLACED, heir)


def _named(members: list[Member], heir: type) -> set[str]:
    return {name for owner, name, _ in members if isinstance(owner, type) and issubclass(heir, owner)}


METHODS = [
    (owner, name, vars(heir)[name])
    for owner, name, _ in REPLACED
    for heir in heirs()
    if inspect.isfunction(vars(heir).get(name)) and issubclass(heir, owner if isinstance(owner, type) else object)
]


@pytest.mark.parametrize(("owner", "name", "ours"), METHODS, ids=[name for _, name, _ in METHODS])
def test_what_replaces_a_method_can_be_called_like_it(owner: type, name: str, ours: Any) -> None:
    theirs = getattr(owner, name)
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(theirs)
    parameters = inspect.signature(theirs).parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    by_name = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
    inspect.signature(ours).bind(*positional, **by_name)
    assert [p.name for p in inspect.signature(ours).parameters.values()][: len(positional)] == positional
