"""A dry run of a replay looks up as many dead letters as there are."""

from pipeline.clickhouse.store import Store
from pipeline.core.effects import InsertDeadLetters
from pipeline.core.place import Place
from pipeline.core.records import DeadLetter
from pipeline.repair.replay_forecast import known_letters
from schemas.message_event import DeadLetterReason

LONGEST_TOPIC = "t" * 249
LETTERS = 5_000


def test_letters_are_counted_whose_names_fill_more_than_a_server_takes_in_one_parameter(url: str) -> None:
    store = Store(url, "cluster", "worker", 30)
    letters = [
        DeadLetter(Place(LONGEST_TOPIC, 0), offset, DeadLetterReason.EMPTY, "empty", 0, None, None, ())
        for offset in range(LETTERS)
    ]
    store.perform(InsertDeadLetters(tuple(letters[::2])))
    assert known_letters(store, letters) == LETTERS // 2
    assert known_letters(store, letters[1:2]) == known_letters(store, []) == 0
