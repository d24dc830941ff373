"""Kafka as workers with several topics see it: topics that come, go and are made anew, metadata that lose them."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from pipeline.core.place import Place
from tests.sim.loops.log import Log
from tests.support.fake_rows import Fact
from tests.support.places import TOPIC

ADDED = "added-events"
"""The topic that is added, retired, deleted and made anew."""


@dataclass(frozen=True, eq=False)
class Topic:
    """One life of a topic. ``topic_id`` is '' on brokers that give none."""

    name: str
    topic_id: str
    log: Log

    @property
    def places(self) -> frozenset[Place]:
        return frozenset(self.log.partitions)


@dataclass
class Kafka:
    """The topics that exist, and those that did. An event may be sent to each of them again."""

    pick: random.Random
    gives_ids: bool
    topics: dict[str, Topic] = field(default_factory=dict)
    all: list[Topic] = field(default_factory=list)
    _events: list[dict[str, Any]] = field(default_factory=list)

    def make(self, name: str) -> Topic:
        """Make a topic, or make one anew, of one to three partitions; now and then one of them cannot be read yet."""
        places = [Place(name, number) for number in range(self.pick.choice([1, 2, 2, 3]))]
        log = Log(self.pick, partitions={place: [] for place in places}, _events=self._events)
        if self.pick.random() < 0.5:
            log.stuck.add(self.pick.choice(places))
        topic = Topic(name, f"id {len(self.all)}" if self.gives_ids else "", log)
        self.topics[name] = topic
        self.all.append(topic)
        return topic

    def is_current(self, topic: Topic) -> bool:
        return self.topics.get(topic.name) is topic

    def truth(self) -> list[Fact]:
        """The facts that must be there in the end."""
        return list({fact: None for topic in self.all for fact in topic.log.truth({})})


@dataclass
class View:
    """Metadata as one broker knows them: of a topic what there is, or fewer partitions, or nothing."""

    kafka: Kafka
    _shown: dict[str, frozenset[Place]] = field(default_factory=dict)

    def named(self, topic: str) -> frozenset[Place]:
        """The partitions of a topic by these metadata; none where it is missing."""
        there = self.kafka.topics.get(topic)
        return self._shown.get(topic, there.places if there else frozenset())

    def existing(self, topics: Iterable[str]) -> dict[str, frozenset[Place]]:
        return {topic: self.named(topic) for topic in topics}

    def change(self) -> None:
        """A topic is lost, or regained, or a broker that lags behind knows some of it, be it of what was deleted."""
        pick = self.kafka.pick
        name = pick.choice([TOPIC, ADDED])
        places = [place for topic in self.kafka.all if topic.name == name for place in sorted(topic.places)]
        luck = pick.random()
        if luck < 0.5:
            self._shown.pop(name, None)
        else:
            self._shown[name] = frozenset() if luck < 0.75 else frozenset(p for p in places if pick.random() < 0.5)

    def catch_up(self) -> None:
        self._shown.clear()
