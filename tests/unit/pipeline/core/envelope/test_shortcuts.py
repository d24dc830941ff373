"""Which short way is tried is found out once for a batch, however often its envelopes change."""

import json
from collections.abc import Iterator

from pipeline.core.decode import decode_batch
from pipeline.core.records import Columns
from tests.support.decoding import event
from tests.support.places import P0
from tests.support.record import NOW_MS, Record


class Watched(list[Record]):
    """A batch that counts how many of its records were handed out."""

    seen = 0

    def __iter__(self) -> Iterator[Record]:
        for record in super().__iter__():
            self.seen += 1
            yield record


def test_a_batch_whose_envelopes_alternate_is_looked_through_twice_at_most() -> None:
    """Else a thousand changes in a batch of thousands of records hold a worker for seconds."""
    plain = [event(event_id=str(number)) for number in range(100)]
    values = [value if n % 2 else json.dumps(value.decode()).encode() for n, value in enumerate(plain)]
    records, rows = Watched(Record(offset, value) for offset, value in enumerate(values)), Columns()
    assert decode_batch(P0, records, NOW_MS, 0, 0, rows).letters == []
    assert (len(rows), records.seen) == (100, 200)
