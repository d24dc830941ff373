"""Topics that commands send to, and that operators name: on the list, and existing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from deploy.errors import Usage
from schemas.settings import PREFIX, Settings

LISTED = f"{PREFIX}KAFKA_TOPIC"


def require_listed(settings: Settings, topic: str) -> str:
    """The topic, where it is one of those that are read. Raises Usage."""
    if topic not in settings.topics:
        raise Usage(f"{topic} is none of the topics that are read ({', '.join(settings.topics)}); {LISTED} lists them")
    return topic


def topic_to_send_to(settings: Settings, named: str) -> str:
    """The one that is named, or the only one that is read. Raises Usage."""
    if not named and len(settings.topics) > 1:
        raise Usage(f"several topics are read ({', '.join(settings.topics)}); name one of them with --topic")
    return require_listed(settings, named or settings.topics[0])


@dataclass(frozen=True, slots=True)
class Targets:
    """The topics that records are sent back to: ``to``, or else each to its own, if that is read and exists."""

    listed: frozenset[str]
    existing: frozenset[str]
    to: str = ""

    def of(self, topic: str) -> str:
        """The topic to send a record of ``topic`` to; '' for none."""
        target = self.to or topic
        return target if target in self.listed and target in self.existing else ""

    def refusals(self, topics: Iterable[str]) -> list[str]:
        """A sentence for each of the topics of records that have nowhere to go."""
        return [
            f"{number} of {topic}, which {self._why(topic)}; --to-topic sends them to another topic"
            for topic, number in sorted(Counter(topics).items())
        ]

    def _why(self, topic: str) -> str:
        return "does not exist, or may not be seen" if topic in self.listed else f"is not read ({LISTED})"
