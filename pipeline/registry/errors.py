"""Errors of a schema registry, split by the caller's next step.

::

    RegistryError
    ├── NotThere   the registry has no such schema; it may lag behind its own topic, so ask again for a while
    ├── Unusable   the schema will never do, whatever is done here: its records become dead letters
    ├── Away       no answer that says anything; ask again, it usually passes
    └── Refuses    the setting is wrong: nothing is read before somebody has mended it
"""

from typing import ClassVar

from pipeline.core.refusal import excerpt
from pipeline.core.waiting import Cause
from schemas.registry_access import Access


class RegistryError(Exception):
    """A sentence in two halves, without credentials: the fault, and the remedy."""

    passes: ClassVar[bool] = False

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"{why}; {remedy}")
        self.why, self.remedy = why, remedy

    @property
    def cause(self) -> Cause:
        """The same for a partition that waits."""
        return Cause(self.why, self.remedy, self.passes, is_elsewhere=True)


class NotThere(RegistryError):
    """The registry answers that it has no such schema, or none of a schema that it refers to."""

    passes = True


class Unusable(RegistryError):
    """The registry has the schema, and nobody can read records by it."""


class Away(RegistryError):
    """The registry cannot be reached, is overloaded, or breaks off its answers."""

    passes = True


class Refuses(RegistryError):
    """The registry, or something else at its URL, answers as it will answer again."""


def quoted(access: Access, text: str) -> str:
    """Foreign text as it may stand in a sentence: cut, and without the credentials that a server may repeat."""
    return excerpt(access.without_credentials(text))
