"""Exported documents as `statements import` hands them to the protocol."""

from collections.abc import Callable, Iterable

from pipeline.core.effects import Steps
from pipeline.core.statements.document import hash_of, parse
from pipeline.core.statements.keeping import Exported, Imported, import_steps


def import_documents(documents: Iterable[bytes]) -> Steps[Imported]:
    """The protocol of an import of these bytes."""
    by_hash = {hash_of(data): data for data in documents}
    read: Callable[[Exported], bytes] = lambda document: by_hash[document.sha256]  # noqa: E731
    return import_steps([Exported(parse(data).head, sha256) for sha256, data in by_hash.items()], read)
