"""``dead-letters`` against ClickHouse: of the letters that it leaves out it says how many there are."""

from deploy.cli.dead_letters import MOST_SHOWN, _not_shown, listing
from deploy.cli.letters import Filter
from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertDeadLetters
from pipeline.core.records import DeadLetter
from schemas.message_event import DeadLetterReason
from tests.support.places import P0, TOPIC
from tests.support.stores import NOW

NOW_MS = NOW * 1000


def opened(url: str, cluster: str = "cluster") -> Store:
    return Store(url, cluster, TOPIC, "worker", 30)


def letter(offset: int, reason: DeadLetterReason = DeadLetterReason.EMPTY, record_ms: int = NOW_MS) -> DeadLetter:
    return DeadLetter(P0, offset, reason, "broken", record_ms, None, None, ())


def keep(store: Store, *letters: DeadLetter) -> Store:
    store.perform(InsertDeadLetters(letters))
    return store


def test_a_listing_that_is_cut_says_how_many_more_there_are_and_how_to_see_them(url: str) -> None:
    others = [letter(9, DeadLetterReason.TOO_LARGE), letter(10, DeadLetterReason.TOO_LARGE)]
    store = keep(opened(url), *[letter(offset) for offset in range(5)], *others)
    told = "`msgmetrics dead-letters export` has them all"
    assert listing(store, Filter(), 3)[-1] == f"… and 4 more; --limit 7 shows them, and {told}"
    assert listing(store, Filter(reason="empty"), 3)[-1] == f"… and 2 more; --limit 5 shows them, and {told}"
    assert "more" not in "".join(listing(store, Filter(), 7) + listing(store, Filter(reason="empty"), 5))
    assert _not_shown(MOST_SHOWN + 1 - 50, MOST_SHOWN + 1) == [f"… and {MOST_SHOWN - 49} more; {told}"]
