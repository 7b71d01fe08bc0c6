"""What two copies of a table are compared by: how many rows, and a checksum that no order of rows changes.

Stores give their rows in different orders, and sort text differently; so each row's hash is added to a sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_BYTES: Final = 16
_MASK: Final = (1 << 8 * _BYTES) - 1


class Tally:
    """Of encoded rows (`flowtell.store.transfer.rows`)."""

    def __init__(self) -> None:
        self.rows = 0
        self._sum = 0

    def add(self, encoded: Iterable[bytes]) -> None:
        total = self._sum
        for row in encoded:
            self.rows += 1
            total += int.from_bytes(blake2b(row, digest_size=_BYTES).digest(), "big")
        self._sum = total & _MASK

    @property
    def checksum(self) -> str:
        """32 hex digits."""
        return f"{self._sum:0{2 * _BYTES}x}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tally) and (self.rows, self._sum) == (other.rows, other._sum)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __str__(self) -> str:
        return f"{self.rows:,} rows with checksum {self.checksum}"
