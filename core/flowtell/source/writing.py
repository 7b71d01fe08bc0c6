"""The journal that one source writes: its runs live elsewhere, and go on when the journal ends."""

from __future__ import annotations

from collections.abc import Iterable

from flowtell.errors import JournalUnwritable
from flowtell.events import Event, encode
from flowtell.journal import Journal, open_journal
from flowtell.version import VERSION


class SourceJournal:
    """Opened at its first write, and anew after one that failed. For one thread."""

    def __init__(self, home: str, source: str, environment: str = "") -> None:
        self.home, self.source, self.environment = home, source, environment
        self._journal: Journal | None = None

    def write(self, events: Iterable[Event]) -> None:
        """All of them in one write.

        Raises:
            JournalUnwritable: the file did not take them whole. Written again later, what it took of them counts once.
            MalformedEvent: one of them cannot be encoded; none was written.
        """
        lines = b"".join(encode(event) + b"\n" for event in events)
        if not lines:
            return
        if self._journal is None:
            self._journal = open_journal(
                self.home, environment=self.environment, source=self.source, version=VERSION, elsewhere=True
            )
        if not self._journal.write(lines):
            path = self._journal.path
            self.close()
            raise JournalUnwritable(path, "the file did not take all lines")

    def close(self) -> None:
        """Free its lock. Nothing that it left open has crashed."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
