"""The whole history of a Prefect server at one go, at the pace that it gives it: what `flowtell import prefect` does."""

from __future__ import annotations

import time
from collections.abc import Callable

from flowtell.source.writing import SourceJournal
from flowtell_sources.prefect.api import PrefectApi
from flowtell_sources.prefect.directory import Directory
from flowtell_sources.prefect.history import History, Place
from flowtell_sources.prefect.links import Links
from flowtell_sources.prefect.settings import Settings
from flowtell_sources.prefect.translation import Translator

_DAY = 86_400_000_000


class Past:
    """Facts carry the ids that the bridge gives them: what is in is not added again."""

    def __init__(self, settings: Settings, journal: SourceJournal, *, days: float) -> None:
        self._journal = journal
        self._api = PrefectApi(settings, clock=lambda: time.time_ns() // 1000, paced=False)
        now = self._api.now()
        translator = Translator(self._api, Directory(self._api, Links(settings.api_url, settings.ui_url)))
        self._history = History(self._api, translator, Place(before=now, since=max(now - int(days * _DAY), 0)))
        self.events: int = 0

    def count(self) -> int:
        """How many flow runs there are to read.

        Raises:
            SourceUnavailable: the server does not answer as it should.
        """
        self._api.version()
        return self._history.count()

    def read(self, on_page: Callable[[int], object]) -> int:
        """Read all, and tell after each page how many flow runs are in. Returns that number.

        Raises:
            SourceUnavailable: the server does not answer as it should.
            JournalUnwritable: the home takes nothing.
        """
        while not self._history.place.done:
            for events in self._history.pages():
                self._journal.write(events)
                self.events += len(events)
                on_page(self._history.place.runs)
        return self._history.place.runs

    def close(self) -> None:
        self._api.close()
