"""The partitions that hold `as_of`: decided by what is stored, so that workers with different lists of topics agree.

A topic may be missing from the metadata for a moment, or from one worker's list for good, and nothing tells that from
its having been deleted. So a topic of which anything was read holds until an operator retires it.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from pipeline.core.place import Place


@dataclass(frozen=True, slots=True)
class Marks:
    """All that is stored of the partitions of a Kafka cluster, each in the newest life of its topic.

    Partitions that were last begun in an earlier life, as far as the ids tell that Kafka gives topics, are not among
    them: who reads those still says nothing of the topic as it is now.

    ``watermarks`` are epoch milliseconds, 0 where a partition has none yet; ``offsets`` are next offsets.
    ``partitions`` is how many a topic had when reading it last began, where that is known for certain: Kafka must have
    given it an id, or one made anew with fewer could not be told from it. ``moved`` is all progress of a topic in one
    number, which any of it raises.
    """

    watermarks: Mapping[Place, int] = field(default_factory=dict)
    offsets: Mapping[Place, int] = field(default_factory=dict)
    partitions: Mapping[str, int] = field(default_factory=dict)
    moved: Mapping[str, int] = field(default_factory=dict)
    retired: frozenset[str] = frozenset()

    def topics(self, listed: Set[str]) -> frozenset[str]:
        """The topics that hold: those on a list, and those of which anything was read, unless they are retired."""
        return frozenset(listed | {place.topic for place in self.watermarks} - self.retired)

    def holders(self, topics: Set[str], existing: Mapping[str, Set[Place]]) -> frozenset[Place]:
        """The partitions that hold, of these topics. ``existing`` are those that the metadata name.

        Those that are stored hold as well: all of them where a topic is missing from the metadata, for whatever reason;
        where it is not, what it surely had before, since a broker that lags behind knows fewer. A topic of which
        neither tells anything holds nothing.
        """
        return frozenset().union(*(self._of(topic, existing.get(topic, frozenset())) for topic in topics))

    def _of(self, topic: str, named: Set[Place]) -> frozenset[Place]:
        had = {Place(topic, number) for number in range(self.partitions.get(topic, 0))}
        return frozenset(named | had or {place for place in self.watermarks if place.topic == topic})
