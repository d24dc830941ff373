"""Converts to what is inserted: Python columns to Arrow tables, with no row in between, and dead letters to rows."""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.late_keys import LateKeys
from pipeline.core.place import Place
from pipeline.core.records import Columns, DeadLetter
from schemas.grain import Grain
from schemas.instant import utc

_TIME = pa.timestamp("ms", tz="UTC")
_MONEY = pa.decimal128(18, 6)


def _money(micros: list[int]) -> pa.Array:
    """Millionths as Decimal(18, 6): the integers are the decimals' own representation, widened to 128 bits."""
    wide: npt.NDArray[np.int64] = np.empty((len(micros), 2), dtype=np.int64)
    wide[:, 0] = micros
    wide[:, 1] = wide[:, 0] >> 63  # the sign, in all bits of the high half
    return pa.Array.from_buffers(_MONEY, len(micros), [None, pa.py_buffer(wide)])


def _numbers(places: list[Place]) -> npt.NDArray[np.uint32]:
    """Numbers of partitions. Hot, once per event: a third cheaper than with a list in between."""
    return np.fromiter(map(itemgetter(1), places), np.uint32, len(places))


def _topics(places: list[Place]) -> pa.Array:
    """Names of topics. Hot, once per event: mostly there is one, and half the time is saved by converting it once."""
    names = set(map(itemgetter(0), places))
    if len(names) == 1:
        return pa.repeat(names.pop(), len(places))
    return pa.array(map(itemgetter(0), places), pa.string())


def facts_table(columns: Columns) -> pa.Table:
    """The facts of a chunk, in the order of the table's insertable columns."""
    return pa.table(
        {
            "org_id": pa.array(columns.org_id, pa.string()),
            "event_id": pa.array(columns.event_id, pa.string()),
            "type": pa.array(columns.type, pa.int8()),
            "channel": pa.array(columns.channel, pa.string()),
            "error_code": pa.array(columns.error_code, pa.string()),
            "cost_cents": _money(columns.cost_micros),
            "occurred_at": pa.array(columns.occurred_ms, pa.int64()).cast(_TIME),
            "record_at": pa.array(columns.record_ms, pa.int64()).cast(_TIME),
            "topic": _topics(columns.place),
            "partition": pa.array(_numbers(columns.place)),
            "offset": pa.array(columns.offset, pa.uint64()),
        }
    )


def recompute_keys_table(batch: str, keys: LateKeys) -> pa.Table:
    """The keys of one late recompute, as rows of the table that its statements read them from."""
    # A dictionary array names each organization once, however many keys it has.
    orgs = pa.DictionaryArray.from_arrays(keys.places.astype(np.int32), pa.array(keys.orgs, pa.string()))
    return pa.table(
        {
            "batch": pa.repeat(batch, len(keys)),
            "minute": pa.array(keys.minutes * Grain.MINUTE.seconds).cast(pa.uint32()),
            "org_id": orgs.cast(pa.string()),
        }
    )


DEAD_LETTER_COLUMNS: Final = (
    "cluster_id", "topic", "partition", "incarnation", "offset", "reason", "detail", "org_id", "event_id", "type",
    "occurred_at", "record_at", "key", "has_key", "value", "has_value", "headers.name", "headers.value",
    "headers.is_null",
)  # fmt: skip


def dead_letter_rows(
    cluster_id: str, incarnations: Mapping[Place, int], letters: Iterable[DeadLetter]
) -> list[tuple[Any, ...]]:
    """Dead letters as rows of the table, in the order of DEAD_LETTER_COLUMNS."""
    return [
        (
            cluster_id,
            *x.place,
            incarnations.get(x.place, 0),
            x.offset,
            x.reason.value,
            x.detail,
            x.org_id,
            x.event_id,
            x.type,
            utc(x.occurred_ms or 0),
            utc(x.record_ms),
            x.key or b"",
            int(x.key is not None),
            x.value or b"",
            int(x.value is not None),
            [name for name, _ in x.headers],
            [value or b"" for _, value in x.headers],
            [int(value is None) for _, value in x.headers],
        )
        for x in letters
    ]
