"""The resolver's thread, with the client before a registry on loopback, and on its own."""

import threading
from collections.abc import Callable, Iterator

import pytest

from pipeline.core.envelope.frames import SchemaKey
from pipeline.registry.client import Client
from pipeline.registry.errors import NotThere, Unusable
from pipeline.registry.resolver import Resolver
from pipeline.registry.schema import Schema, SchemaKind
from schemas.registry_access import Access
from tests.support.endpoint import Clock
from tests.support.schema_registry import FakeRegistry, Scripted

PATIENCE = 10.0
PATH = "/schemas/ids/7"


class Under:
    """A resolver whose readers are the schemas' texts, with news to wait for."""

    def __init__(self, fetch: Callable[[SchemaKey], Schema], build: Callable[[Schema], str] = lambda s: s.text) -> None:
        self.clock, self._news = Clock(), threading.Semaphore(0)
        self.resolver = Resolver(fetch, build, self.clock, self.tell)

    def tell(self) -> None:
        self._news.release()

    def news(self) -> None:
        assert self.has_news(PATIENCE)

    def has_news(self, seconds: float) -> bool:
        return self._news.acquire(timeout=seconds)

    def look_until(self, happens: Callable[[float], bool], *keys: SchemaKey) -> None:
        """Look these keys up every second of the resolver's clock, until something happens, which may be waited for."""
        for _ in range(1_000):
            self.resolver.look(keys)
            if happens(0.01):
                return
            self.clock.now += 1
        raise AssertionError("it has not happened")


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry({PATH: {"schema": "it"}}) as fake:
        yield fake


@pytest.fixture
def under(registry: FakeRegistry) -> Iterator[Under]:
    under = Under(Client(Access(registry.url)).fetch)
    yield under
    under.resolver.close()


def awaited(registry: FakeRegistry) -> None:
    """Wait until the registry was asked once more."""
    assert registry.came.wait(PATIENCE)
    registry.came.clear()


def test_a_look_never_waits_and_news_come(registry: FakeRegistry, under: Under) -> None:
    gate = threading.Event()
    registry.answers[PATH] = Scripted({"schema": "it"}, gate=gate)
    for _ in range(3):
        assert under.resolver.look([7]).missing[7].passes
    awaited(registry)
    assert under.resolver.look([7]).missing
    gate.set()
    under.news()
    assert under.resolver.look([7]).readers == {7: "it"}
    assert registry.asked == [PATH]


def test_a_thread_is_started_by_need_only_and_ends_when_closed(under: Under) -> None:
    def threads() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "schema registry"]

    assert under.resolver.look([]).missing == {}
    assert threads() == []
    under.resolver.look([7])
    under.news()
    (thread,) = threads()
    assert thread.daemon
    under.resolver.close()
    assert not thread.is_alive()
    assert under.resolver.look([7]).readers == {7: "it"}
    assert under.resolver.look([8]).missing
    assert threads() == []


def test_threads_that_look_at_once_make_one_request(registry: FakeRegistry, under: Under) -> None:
    registry.answers |= {f"/schemas/ids/{key}": {"schema": str(key)} for key in range(10)}
    start = threading.Barrier(8)

    def look() -> None:
        start.wait(PATIENCE)
        for _ in range(100):
            under.resolver.look(range(10))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(10):
        under.news()
    assert sorted(registry.asked) == [f"/schemas/ids/{key}" for key in range(10)]
    assert len(under.resolver.look(range(10)).readers) == 10


def test_a_new_key_wakes_the_thread_from_a_long_wait(registry: FakeRegistry, under: Under) -> None:
    under.resolver.look([8])
    awaited(registry)  # 404: the next question is due in a second
    under.resolver.look([7])
    awaited(registry)
    under.news()
    assert under.resolver.look([7]).readers


def test_a_schema_that_is_not_there_for_ten_seconds_is_unknown(registry: FakeRegistry, under: Under) -> None:
    registry.answers |= {f"/schemas/ids/{key}": {"schema": "it"} for key in range(100, 110)}
    for second in range(10):
        under.clock.now = float(second)
        under.resolver.look([8])
        awaited(registry)
        under.resolver.look([100 + second])
        under.news()  # one is asked after the other, so the first answer is noted as well
        awaited(registry)
        assert "has no schema 8" in under.resolver.look([8]).missing[8].why
    under.clock.now = 10.0
    under.resolver.look([8])
    under.news()
    assert isinstance(under.resolver.look([8]).verdicts[8], NotThere)
    assert registry.asked.count("/schemas/ids/8") == 11
    assert under.resolver.problem is None


def test_a_wrong_password_is_the_problem_until_it_is_mended(registry: FakeRegistry, under: Under) -> None:
    registry.answers[PATH] = Scripted(b"", 401)

    def is_known(seconds: float) -> bool:
        registry.came.wait(seconds)
        registry.came.clear()
        return under.resolver.problem is not None

    under.look_until(is_known, 7)
    problem = under.resolver.problem
    assert problem
    assert "answers 401; set MSGMETRICS_SCHEMA_REGISTRY_USER" in problem
    cause = under.resolver.look([7]).missing[7]
    assert (f"{cause.why}; {cause.remedy}", cause.passes) == (problem, False)
    registry.answers[PATH] = {"schema": "it"}
    under.look_until(under.has_news, 7)
    assert under.resolver.look([7]).readers
    assert under.resolver.problem is None


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Unusable("it has no fields", "add some"), "it has no fields; add some"),
        (ValueError("no\nrecord"), r"schema 7 cannot be used: 'no\nrecord'; register one that can be read"),
        (MemoryError(), "schema 7 cannot be used: 'MemoryError'; register one that can be read"),
    ],
)
def test_a_schema_that_no_reader_can_be_built_of_is_refused(
    registry: FakeRegistry, error: Exception, sentence: str
) -> None:
    def build(schema: Schema) -> str:
        raise error

    under = Under(Client(Access(registry.url)).fetch, build)
    under.resolver.look([7])
    under.news()
    assert str(under.resolver.look([7]).verdicts[7]) == sentence
    under.resolver.close()


def test_no_mistake_ends_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    asked, told = threading.Semaphore(0), threading.Semaphore(0)

    def fetch(key: SchemaKey) -> Schema:
        asked.release()
        if key == 7:
            raise KeyError("s3cret")
        return Schema(SchemaKind.AVRO, str(key))

    def tell() -> None:
        told.release()
        raise OSError("nobody hears")

    under = Under(fetch)
    resolver = under.resolver = Resolver(fetch, lambda schema: schema.text, under.clock, tell)
    under.look_until(lambda seconds: asked.acquire(timeout=seconds) and resolver.problem is not None, 7)
    why = resolver.look([7]).missing[7].why
    assert why.startswith("schema 7 cannot be asked for: KeyError in test_resolver.py:")
    for key in (8, 9):
        under.look_until(lambda seconds: told.acquire(timeout=seconds), 7, key)
    assert resolver.look([8, 9]).readers == {8: "8", 9: "9"}
    resolver.close()
    assert caplog.text.count("could not be told that there is news") == 2
    assert "s3cret" not in caplog.text + why
