"""Schemas for those who must not wait: what is not in the cache is asked for by a thread of its own."""

import logging
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Generic, TypeVar

from pipeline.core.envelope.frames import SchemaKey
from pipeline.core.refusal import excerpt
from pipeline.registry.cache import Cache, Looked
from pipeline.registry.errors import Away, RegistryError, Unusable
from pipeline.registry.schema import Schema

log = logging.getLogger(__name__)

R = TypeVar("R")

CLOSE_SECONDS: Final = 1.0
"""A closing waits so long for the thread. One that is in the middle of a question ends with it."""


class Resolver(Generic[R]):
    """Looks readers of schemas up, from any thread and without blocking; one question is under way at most.

    ``fetch`` raises RegistryError. ``build`` makes a reader of a schema; whatever it raises refuses the schema, an
    Unusable in its own words. ``on_news`` is called by the thread after anything was decided, so that partitions which
    wait can look again at once.
    """

    def __init__(
        self,
        fetch: Callable[[SchemaKey], Schema],
        build: Callable[[Schema], R],
        monotonic: Callable[[], float],
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._fetch, self._build, self._monotonic, self._on_news = fetch, build, monotonic, on_news
        self._cache: Cache[R] = Cache()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def look(self, keys: Collection[SchemaKey]) -> Looked[R]:
        """The states of these keys now. Those that are missing are asked for while somebody looks them up."""
        with self._changed:
            looked = self._cache.look(keys, self._monotonic())
            if looked.missing and not self._is_closed:
                self._wake()
            return looked

    @property
    def problem(self) -> str | None:
        """The sentence about the registry itself, while schemas are waited for that it does not give; or None."""
        with self._changed:
            problem = self._cache.problem
        return str(problem) if problem else None

    def close(self) -> None:
        """End the thread. What is missing stays missing."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join(CLOSE_SECONDS)

    def _wake(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="schema registry", daemon=True)
            self._thread.start()
        self._changed.notify_all()

    def _run(self) -> None:
        while (key := self._next()) is not None:
            asked_at = self._monotonic()
            try:
                reader, characters = self._read(key)
            except RegistryError as error:
                is_news = self._note(key, error, asked_at)
            else:
                is_news = self._put(key, reader, characters)
            if is_news:
                self._tell()

    def _next(self) -> SchemaKey | None:
        """The next key, once it is time for one; None when closed."""
        with self._changed:
            while not self._is_closed:
                now = self._monotonic()
                if (key := self._cache.next(now)) is not None:
                    return key
                self._changed.wait(self._cache.pause(now))
            return None

    def _read(self, key: SchemaKey) -> tuple[R, int]:
        """The reader of a schema, and the schema's size in characters. Raises RegistryError, whatever was raised."""
        try:
            schema = self._fetch(key)
        except RegistryError:
            raise
        except Exception as error:  # a mistake of ours must not end the thread; its text might have anything in it
            why = f"schema {key} cannot be asked for: {type(error).__name__} {_place(error)}"
            raise Away(why, "it is asked for again; this is a mistake in the program, please report it") from None
        try:
            return self._build(schema), len(schema.text) + sum(len(text) for _, text in schema.references)
        except Unusable:
            raise
        except Exception as error:
            why = f"schema {key} cannot be used: {excerpt(str(error) or type(error).__name__)}"
            raise Unusable(why, "register one that can be read") from None

    def _put(self, key: SchemaKey, reader: R, characters: int) -> bool:
        with self._changed:
            self._cache.put(key, reader, characters)
            return not self._is_closed

    def _note(self, key: SchemaKey, error: RegistryError, asked_at: float) -> bool:
        with self._changed:
            return self._cache.note(key, error, asked_at, self._monotonic()) and not self._is_closed

    def _tell(self) -> None:
        try:
            self._on_news()
        except Exception:
            log.exception("whoever waits for schemas could not be told that there is news")


def _place(error: Exception) -> str:
    """The line that raised."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return f"in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
