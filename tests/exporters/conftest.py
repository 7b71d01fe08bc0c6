"""A real log, a real runner and the plugin under test, without HTTP between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from starlette.requests import Request

from flowtell.events import Event
from flowtell.runner import Runner
from flowtell.store import open_store
from flowtell.store.log import EventLog

NOW = 1_800_000_000_000_000


class Observatory:
    """One store with one plugin on its log; `restart` is what a killed server does."""

    def __init__(self, url: str, factory: Callable[..., Any], settings: dict[str, Any]) -> None:
        self.store = open_store(url)
        self.now = NOW
        self._factory, self._settings = factory, settings
        self.restart()

    def restart(self) -> None:
        """A new plugin that knows only what the tables hold."""
        self.mounted: dict[str, Any] = {}
        self.runner = Runner("prometheus", self._factory, self.store, settings=self._settings, clock=lambda: self.now)
        self.runner.on_mount = lambda name, path, app: self.mounted.update({path: app})
        self.runner.all_statuses = lambda: (self.runner.status(),)
        self.runner.open()

    def append(self, *events: Event, machine: str = "m1", **facts: Any) -> Sequence[Event]:
        """Put events into the log, as the ingester would; what it has already is skipped."""
        log: EventLog = self.store.log
        with self.store.write() as transaction:
            writer = log.writer(transaction, f"journal-{machine}", "journal", machine=machine)
            if facts:
                log.move_writer(transaction, writer, **facts)
            return log.append_events(transaction, writer, events, self.now)

    def handle(self, limit: int = 2000) -> None:
        """Let the plugin have all that is in the log."""
        while self.runner.step(limit):
            pass

    def feed(self, *events: Event) -> None:
        self.append(*events)
        self.handle()

    def text(self, *, openmetrics: bool = False) -> str:
        return self.mounted["/metrics"].text(openmetrics=openmetrics)

    def respond(self, method: str = "GET", **headers: str) -> Any:
        """The response to a request with these headers."""
        raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        return self.mounted["/metrics"].respond(Request({"type": "http", "method": method, "headers": raw}))

    def close(self) -> None:
        self.runner.close()
        self.store.close()


@pytest.fixture
def observe(tmp_path):
    """Make an observatory: `observe(factory, **settings)`."""
    made: list[Observatory] = []

    def make(factory: Callable[..., Any], **settings: Any) -> Observatory:
        made.append(Observatory(f"sqlite:///{tmp_path}/{len(made)}.db", factory, settings))
        return made[-1]

    yield make
    for each in made:
        each.close()
