"""Takes documents: read, translated, and written into a journal of this server's own before they are answered."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from flowtell.plugin import LogView
from flowtell.source.writing import SourceJournal
from flowtell_lineage.openlineage.receiving.documents import Document, read_document
from flowtell_lineage.openlineage.receiving.echoes import Echoes
from flowtell_lineage.openlineage.receiving.errors import OpenLineageMalformed
from flowtell_lineage.openlineage.receiving.memory import read_back
from flowtell_lineage.openlineage.receiving.runs import SOURCE, Runs
from flowtell_lineage.openlineage.receiving.translation import Translation, digest_of, translated


class Refused(msgspec.Struct, frozen=True):
    """One document of a batch that was none."""

    index: int
    reason: str
    retriable: bool = False


class Receiver:
    """From any thread; one writes at a time.

    Args:
        log: where runs that went on while nobody received are looked for, before the first event is taken.
        read: rows of a SELECT, by which events of this store's own runs are known; they are taken and not kept.
    """

    def __init__(
        self,
        home: str,
        environment: str = "",
        log: LogView | None = None,
        read: Callable[[Any], Iterable[Any]] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._journal = SourceJournal(home, SOURCE, environment)
        self._runs, self._log, self._echoes = Runs(), log, Echoes(read)
        self._translation = Translation(self._runs)

    def take(self, value: Any) -> None:
        """Keep one decoded event.

        Raises:
            OpenLineageMalformed: nothing of it was kept.
            JournalUnwritable: it may not have been kept; come again.
        """
        document = read_document(value)
        if not self._echoes.has(value, document):
            self._keep([(document, digest_of(value))])

    def take_all(self, values: Sequence[Any]) -> list[Refused]:
        """Keep what can be read of many, in one write; returns the others.

        Raises:
            JournalUnwritable: they may not have been kept; come again with all of them.
        """
        readable: list[tuple[Document, str]] = []
        refused: list[Refused] = []
        for index, value in enumerate(values):
            try:
                document = read_document(value)
                if not self._echoes.has(value, document):
                    readable.append((document, digest_of(value)))
            except OpenLineageMalformed as error:
                refused.append(Refused(index, str(error)))
        self._keep(readable)
        return refused

    def close(self) -> None:
        """Let go of the journal. What was taken is in it."""
        with self._lock:
            self._journal.close()

    def _keep(self, documents: Sequence[tuple[Document, str]]) -> None:
        with self._lock:
            if self._log is not None:
                log, self._log = self._log, None
                read_back(self._runs, log)
            self._journal.write(translated(self._translation, documents))
