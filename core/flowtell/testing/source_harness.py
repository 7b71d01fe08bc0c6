"""A source with its real journal and a real log in a folder of its own, driven step by step on the test's thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from flowtell.errors import JournalUnwritable
from flowtell.events import Event, SourceDown, SourceProgress, SourceUp, decode
from flowtell.journal import FOLDER, SUFFIX
from flowtell.source import Factory
from flowtell.source.runner import SourceRunner, system_clock
from flowtell.store import open_store
from flowtell.store.log import Line

OF_SOURCES = (SourceUp, SourceDown, SourceProgress)
"""What a source says of itself: not the same at each run."""


class SourceHarness:
    """Takes turns, restarts, cuts writes off; what the source wrote is moved into the log as the server would."""

    def __init__(
        self,
        factory: Factory,
        folder: str | os.PathLike[str],
        *,
        name: str = "source",
        settings: Mapping[str, Any] | None = None,
        clock: Callable[[], int] = system_clock,
    ) -> None:
        self.folder, self.clock = os.fspath(folder), clock
        self.store = open_store(f"sqlite:///{os.path.join(self.folder, 'flowtell.db')}")
        self.writes = 0
        """Writes that the journal took."""
        self.fail_at: int | None = None
        """The write that is not taken: the count of those before it."""
        self._name, self._factory, self._settings = name, factory, dict(settings or {})
        self._places: dict[str, int] = {}
        self.runner = self._runner()

    def _runner(self) -> SourceRunner:
        runner = SourceRunner(
            self._name,
            self._factory,
            settings=self._settings,
            home=self.folder,
            environment="test",
            store=self.store,
            clock=self.clock,
        )
        taken = runner.journal.write

        def write(events: Iterable[Event]) -> None:
            if self.writes == self.fail_at:
                self.fail_at = None
                raise JournalUnwritable(self.folder, "cut off by the test")
            taken(events)
            self.writes += 1

        runner.journal.write = write  # type: ignore[method-assign]
        return runner

    def turn(self) -> float:
        """One turn, and what it wrote is in the log. Returns the seconds that the source would wait."""
        wait = self.runner.turn()
        self._ingest()
        return wait

    def run_until(self, done: Callable[[], bool], timeout: float = 30.0) -> None:
        """Turns, with the waits between them cut to 50 ms, until `done()`.

        Raises:
            TimeoutError: it was not within `timeout` seconds.
        """
        until = time.monotonic() + timeout
        while not done():
            if time.monotonic() > until:
                raise TimeoutError(f"the source did not get there; it is {self.runner.status()}")
            time.sleep(min(self.turn(), 0.05))

    def restart(self, *, kill: bool = False) -> None:
        """A new source over the same log, as after the server was stopped; with `kill`, nothing is written any more.

        What a killed one holds is let go all the same, as the system does it for a process.
        """
        if kill:
            self.runner.journal.close()
            self.runner.journal.write = self._refuse  # type: ignore[method-assign]
        self.runner.close(1.0)
        self.runner = self._runner()

    def _refuse(self, events: Iterable[Event]) -> None:
        raise JournalUnwritable(self.folder, "its process was killed by the test")

    def events(self) -> list[Event]:
        """What the source told, without what it said of itself, in log order."""
        return [event for event in self.store.log.read(0, 1_000_000) if not isinstance(event, OF_SOURCES)]

    def said(self) -> list[Event]:
        """What the source said of itself: up, down, progress."""
        return [event for event in self.store.log.read(0, 1_000_000) if isinstance(event, OF_SOURCES)]

    def _ingest(self) -> None:
        folder = Path(self.folder, FOLDER)
        for path in sorted(folder.glob(f"[!.]*{SUFFIX}")) if folder.is_dir() else ():
            self._ingest_file(path)

    def _ingest_file(self, path: Path) -> None:
        place = self._places.get(path.name, 0)
        whole, newline, _ = path.read_bytes()[place:].rpartition(b"\n")
        self._places[path.name] = place + len(whole) + len(newline)
        lines = [line for line in whole.split(b"\n") if line and b'"type":"journal.' not in line[:40]]
        self._append([Line(decode(line), line, place + at) for at, line in enumerate(lines)], path.name)

    def _append(self, lines: Sequence[Line], writer: str) -> None:
        if lines:
            with self.store.write() as transaction:
                who = self.store.log.writer(transaction, writer, "journal", source=self._name, environment="test")
                self.store.log.append(transaction, who, lines, self.clock())

    def close(self) -> None:
        self.runner.close(1.0)
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
