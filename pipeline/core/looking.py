"""Statements that are only for looking: what they answer is shown to people, and no claim rests on it."""

from collections.abc import Sequence
from typing import Any, Protocol


class Look(Protocol):
    """Rows of a statement that is only for looking, by its name. Blocks; raises SinkUnavailable or Stop."""

    def __call__(self, name: str, /, **parameters: Any) -> Sequence[Sequence[Any]]: ...
