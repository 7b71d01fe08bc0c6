"""What is counted, found by its labels, and no more of it than a scrape can carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from flowtell.decoders import decoder

OVERFLOW_LABEL: Final = "__overflow__"
LONGEST_LABEL: Final = 200
"""Characters of a label's value; what is longer is cut."""

Labels = tuple[str, ...]
T = TypeVar("T")


class Subject(Generic[T]):
    """A flow, task, deployment, asset or such with its totals. `stored` once it has a row."""

    __slots__ = ("id", "kind", "labels", "stored", "totals")

    def __init__(self, id: int, kind: str, labels: Labels, totals: T, *, stored: bool = False) -> None:
        self.id, self.kind, self.labels, self.totals, self.stored = id, kind, labels, totals, stored

    @property
    def is_overflow(self) -> bool:
        """Whether it stands for many, so that what is true of one alone cannot be told."""
        return self.labels[:1] == (OVERFLOW_LABEL,)


class Subjects(dict[Labels, Subject[T]]):
    """The subjects of one kind by their labels. Asking for a new one makes it, up to `limit`.

    After that every new one is the overflow subject, which takes what belongs to no other, so that sums stay exact.
    Nothing is kept under labels that were refused or cut: whoever invents names costs no memory.
    """

    def __init__(
        self,
        kind: str,
        width: int,
        type: type[T],
        limit: int,
        *,
        new_id: Callable[[], int],
        make: Callable[[], T] | None = None,
    ) -> None:
        """`make` gives the totals of a new subject, where `type` without arguments does not."""
        super().__init__()
        self.kind, self.limit, self.overflowed = kind, limit, 0
        self._type, self._make, self._new_id = type, make or type, new_id
        self._overflow_labels = (OVERFLOW_LABEL,) * width

    def __missing__(self, labels: Labels) -> Subject[T]:
        clean = tuple([clean_label(value) for value in labels])
        found = self.get(clean)
        if found is None and len(self) >= self.limit:
            self.overflowed += 1
            clean = self._overflow_labels
            found = self.get(clean)
        return found or self._add(clean)

    def known(self, *labels: str) -> Subject[T] | None:
        """The subject of these labels where there is one of its own."""
        return self.get(tuple([clean_label(value) for value in labels]))

    def restore(self, row: Any) -> Subject[T]:
        """Take in a subject from its row."""
        labels = tuple(msgspec.json.decode(row.labels))
        totals = decoder(self._type)(row.data)
        subject = self[labels] = Subject(row.id, self.kind, labels, totals, stored=True)
        return subject

    def _add(self, labels: Labels) -> Subject[T]:
        subject = self[labels] = Subject(self._new_id(), self.kind, labels, self._make())
        return subject


def clean_label(value: str) -> str:
    """The value cut, and without what UTF-8 cannot hold."""
    return value[:LONGEST_LABEL].encode("utf-8", "replace").decode()
