"""An operator who retires a topic, in tests."""

from collections.abc import Callable
from typing import Any

from pipeline.core.effects import Effect
from pipeline.core.holding import Marks
from pipeline.core.protocol import marks_steps, retire_steps
from pipeline.runner import drive


def retire(perform: Callable[[Effect], Any], topic: str) -> bool:
    """Retire a topic that nobody reads; whether it is."""
    marks: Marks = drive(marks_steps(), perform)
    return drive(retire_steps(topic, marks.moved.get(topic, 0)), perform)
