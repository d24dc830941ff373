"""Types and forms of arguments. What is empty, too long or no text is refused before anything is looked at.

An empty value is mostly a shell's variable that was not set. It is never taken for "all", which is said by leaving an
option out.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from pipeline.core.place import Place
from schemas import setting_values
from schemas.message_event import MAX_EVENT_ID_CHARACTERS, MAX_ORG_CHARACTERS

MAX_CLUSTER_CHARACTERS = 255
TOPIC_NAME = re.compile(rf"(?!\.\.?(?:/|\Z)){setting_values.TOPIC.pattern}", re.ASCII)
"""A topic's name, alone or before a slash; Kafka does not take . and .. for one."""
PARTITION = re.compile(rf"(?:(?P<topic>{TOPIC_NAME.pattern})/)?(?P<number>\d{{1,9}})", re.ASCII)
"""A partition: topic/number, or a number alone."""
OFFSETS = re.compile(
    rf"(?P<topic>{TOPIC_NAME.pattern})/(?P<number>\d{{1,9}})/(?P<first>\d{{1,18}})(?:-(?P<last>\d{{1,18}}))?", re.ASCII
)
"""Offsets of a topic's partition. No number has more digits than Kafka's numbers can have."""
Command = TypeVar("Command", bound=Callable[..., Any])


class TextType(click.ParamType):
    """Text of 1 to ``most`` characters, of any kind that UTF-8 can write: it is compared as it is, not as a pattern."""

    def __init__(self, name: str, noun: str, most: int) -> None:
        self.name, self._noun, self._most = name, noun, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not 1 <= len(text) <= self._most:
            is_choice = isinstance(param, click.Option) and not param.required
            remedy = "; leave the option out to choose nothing by it" if is_choice and not text else ""
            self.fail(f"{self._noun} has 1 to {self._most} characters; this one has {len(text)}{remedy}", param, ctx)
        if not _is_utf8(text):
            self.fail(f"{self._noun} is UTF-8, and {text!a} is not", param, ctx)
        return text


def _is_utf8(text: str) -> bool:
    """Whether the shell's bytes were UTF-8; others reach Python as lone surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class TopicType(click.ParamType):
    """The name of a topic, which need not exist."""

    name = "TOPIC"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not TOPIC_NAME.fullmatch(text):
            self.fail(f"a topic's name is 1 to 249 of [A-Za-z0-9._-]; not {text!a}", param, ctx)
        return text


class DirectoryType(click.ParamType):
    """The path of a directory, which need not exist."""

    name = "DIR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        text = str(value)
        if not text or "\0" in text or not _is_utf8(text):
            self.fail(f"a directory has a name in UTF-8, and the one you are in is called .; not {text!a}", param, ctx)
        return Path(text)


class FileType(click.ParamType):
    """The name of a file, or - for standard input or output."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text or "\0" in text:
            self.fail(f"it must name a file, or be -, not {text!a}", param, ctx)
        return text


def _or_empty(_: click.Context, __: click.Parameter, value: str | None) -> str:
    return value or ""


def choice(flag: str, kind: click.ParamType, help: str) -> Callable[[Command], Command]:
    """An option that narrows what a command is about; the command is given '' where it was left out."""
    return click.option(flag, type=kind, callback=_or_empty, help=help)


ORGANIZATION = TextType("ORG", "an organization's id", MAX_ORG_CHARACTERS)
EVENT = TextType("TEXT", "an event's id", MAX_EVENT_ID_CHARACTERS)
CLUSTER = TextType("ID", "the id of a Kafka cluster", MAX_CLUSTER_CHARACTERS)
KEY = TextType("TEXT", "the name of a key", 128)
TOPIC = TopicType()
DIRECTORY = DirectoryType()
FILE = FileType()
ORG = choice("--org", ORGANIZATION, "only this organization")
ORG_ARGUMENT = click.argument("org", type=ORGANIZATION)
ANY_ORG_ARGUMENT = click.argument("org", type=ORGANIZATION, required=False, callback=_or_empty)
"""The command is given '' where it was left out, for all."""


def parse_offsets(text: str) -> tuple[Place, int, int | None] | None:
    """The partition, first and last offset of TOPIC/PARTITION/FIRST[-LAST]; None where it is no such text."""
    found = OFFSETS.fullmatch(text)
    if found is None:
        return None
    return (
        Place(found["topic"], int(found["number"])),
        int(found["first"]),
        int(found["last"]) if found["last"] else None,
    )
