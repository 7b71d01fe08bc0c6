"""A plugin over a real log in a folder of its own, driven step by step on the test's thread."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from sqlalchemy import select

from flowtell.events import Event, decode, encode
from flowtell.plugin import Factory
from flowtell.runner import BATCH, Runner
from flowtell.runner.apart import apart
from flowtell.store import open_store
from flowtell.store.log import Line
from flowtell.testing.clock import FakeClock


class PluginHarness:
    """Feeds events, moves the clock, reads what the plugin wrote. The log, the runner and the tables are the real ones.

    The store is a new SQLite file in `folder`, unless `store_url` names an empty one.
    """

    def __init__(
        self,
        factory: Factory,
        folder: str | os.PathLike[str],
        *,
        name: str = "plugin",
        settings: Mapping[str, Any] | None = None,
        clock: FakeClock | None = None,
        environment: str = "test",
        store_url: str = "",
        isolated: bool = False,
    ) -> None:
        """`isolated` runs the plugin in a process of its own, which imports the factory by its name."""
        self.clock = clock or FakeClock()
        self.mounted: dict[str, Any] = {}
        self._name, self._settings, self._environment = name, dict(settings or {}), environment
        self.folder = os.fspath(folder)
        self.store = open_store(store_url or f"sqlite:///{os.path.join(self.folder, 'flowtell.db')}")
        self._n = 0
        self._factory = self._in_a_process(factory) if isolated else factory
        self.runner = self._open()

    def _in_a_process(self, factory: Factory) -> Factory:
        from flowtell.runner.isolation.isolated import Home, Isolation, isolated, target_of

        home = Home(self.store.url.render_as_string(hide_password=False), self.folder, self._environment)
        return isolated(target_of(factory), self._name, Isolation(home, clock=self.clock))

    def _open(self) -> Runner:
        runner = Runner(
            self._name,
            self._factory,
            self.store,
            settings=self._settings,
            home=self.folder,
            environment=self._environment,
            clock=self.clock,
        )
        runner.on_mount = lambda _plugin, path, app: self.mounted.__setitem__(path, app)
        runner.all_statuses = lambda: (runner.status(),)
        runner.open()
        return runner

    def append(self, events: Iterable[Event], writer: str = "w1") -> Sequence[Event]:
        """Put events into the log without handing them over, as if `writer` had written them."""
        lines = []
        for event in events:
            body = encode(event)
            lines.append(Line(decode(body), body, self._n))
            self._n += 1
        with self.store.write() as transaction:
            who = self.store.log.writer(transaction, writer, "journal")
            return self.store.log.append(transaction, who, lines, self.clock())

    def deliver(self, batch: int = BATCH) -> None:
        """Hand over all that the log has, `batch` events at a time. Raises what the plugin raises."""
        while self.runner.step(batch):
            pass
        self.runner.live = True

    def feed(self, events: Iterable[Event], *, batch: int = BATCH, writer: str = "w1") -> None:
        """`append`, then `deliver`."""
        self.append(events, writer)
        self.deliver(batch)

    def tick(self, seconds: float = 0.0) -> None:
        """Move the clock by `seconds` and let the plugin see it; then hand over what it emitted."""
        self.clock.advance(seconds)
        self.runner.live = True
        self.runner.tick()
        self.deliver()

    def restart(self) -> None:
        """A new plugin from the factory over the same tables, as after the server died: nothing in memory survives.

        What the old one had handled is committed, as the runner does; events that nobody wanted may come again.
        """
        if its := apart(self.runner.plugin):
            its.end()
        self.runner = self._open()

    def read(self, statement: Any) -> Sequence[Any]:
        return self.store.read(statement)

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the plugin's own tables, sorted, so that two states can be compared."""
        tables = self.runner.plugin.tables
        if tables is None:
            return {}
        return {
            name: sorted((tuple(row) for row in self.read(select(table))), key=repr) for name, table in tables.tables.items()
        }

    def log(self, *types: str) -> list[Event]:
        """The events of the log, of the named types only where there are any."""
        return self.store.log.read(0, 1_000_000, types)

    def close(self) -> None:
        self.runner.close(1.0)
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
