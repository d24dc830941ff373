"""Columns of Python values as Arrow tables, without a row in between."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.core.decode import Columns
from pipeline.core.effects import Key
from schemas.grain import Grain

_TIME = pa.timestamp("ms", tz="UTC")
_MONEY = pa.decimal128(18, 6)


def _money(micros: list[int]) -> pa.Array:
    """Millionths as Decimal(18, 6): the integers are the decimals' own representation, widened to 128 bits."""
    wide: npt.NDArray[np.int64] = np.zeros((len(micros), 2), dtype=np.int64)
    wide[:, 0] = micros
    return pa.Array.from_buffers(_MONEY, len(micros), [None, pa.py_buffer(wide)])


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
            "partition": pa.array(columns.partition, pa.uint32()),
            "offset": pa.array(columns.offset, pa.uint64()),
        }
    )


def recompute_keys_table(batch: str, keys: frozenset[Key]) -> pa.Table:
    """The keys of one late recompute, as rows of the table that its statements read them from."""
    minutes, orgs = zip(*keys, strict=True)
    return pa.table(
        {
            "batch": pa.array([batch] * len(keys), pa.string()),
            "minute": pa.array([minute * Grain.MINUTE.seconds for minute in minutes], pa.uint32()),
            "org_id": pa.array(orgs, pa.string()),
        }
    )
