"""Aborted transactions of a fetch. Pure."""

from collections.abc import Iterable


class Aborted:
    """Aborted transactions of a fetch: whose batches are to be left out, as the log goes on.

    ``transactions`` are (producer id, first offset). Every batch is to be asked about, in order.
    """

    def __init__(self, transactions: Iterable[tuple[int, int]] | None) -> None:
        self._begin = sorted(transactions or (), key=lambda aborted: aborted[1], reverse=True)
        self._producers: set[int] = set()

    def drops(self, producer_id: int, base_offset: int, *, is_transactional: bool) -> bool:
        """Whether a batch belongs to a transaction that was aborted."""
        while self._begin and self._begin[-1][1] <= base_offset:
            self._producers.add(self._begin.pop()[0])
        return is_transactional and producer_id in self._producers

    def ended(self, producer_id: int) -> None:
        """The aborted transaction of a producer has ended; what it writes from now on counts."""
        self._producers.discard(producer_id)
