"""Records in the frames of a schema registry: what was fetched goes on as far as its schemas are known."""

from dataclasses import dataclass
from typing import NamedTuple

from pipeline.core.envelope.frames import Readers, SchemaKey, Schemas, keys_needed
from pipeline.core.waiting import Cause
from pipeline.kafka.fetcher import Standing, Taken


@dataclass(frozen=True, slots=True)
class Lacking(Standing):
    """Stands for the records of a partition from an offset on, while the schema of the first cannot be had."""

    offset: int
    key: SchemaKey


class Readable(NamedTuple):
    """Records with the readers for them, up to the first whose schema is lacking, if there is one."""

    taken: Taken
    readers: Readers | None
    lacking: Lacking | None = None


def readable(taken: Taken, schemas: Schemas | None) -> Readable:
    """The part of fetched records that can be read. All schemas are asked for at once."""
    if schemas is None:
        return Readable(taken, None)
    needed = keys_needed(taken.records)
    if not needed:
        return Readable(taken, {})
    looked = schemas.look({key for _, key in needed})
    missing = next(((offset, key) for offset, key in needed if key in looked.missing), None)
    if missing is None:
        return Readable(taken, looked.readers)
    lacking = Lacking(*missing)
    return Readable(taken.before(lacking.offset), looked.readers, lacking)


def still_missing(schemas: Schemas | None, key: SchemaKey) -> Cause | None:
    """The cause for which a schema cannot be had yet; None where it can."""
    return schemas.look({key}).missing.get(key) if schemas else None
