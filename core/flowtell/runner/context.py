"""The `Context` that a runner gives to its plugin."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from flowtell.events import Event, decode, encode
from flowtell.ids import derived_id, moment_of
from flowtell.plugin import MAX_HOPS, LogView, PluginStatus
from flowtell.runner.flood import bounded
from flowtell.runner.write_set import WriteSet

if TYPE_CHECKING:
    from flowtell.runner.runner import Runner


class RunnerContext:
    """See `flowtell.plugin.Context` for what each member promises."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.name = runner.name
        self.logger = bounded(logging.getLogger(f"flowtell.plugin.{runner.name}"))
        self.clock = runner.clock
        self.home = runner.home
        self.environment = runner.environment
        self.pending = WriteSet(runner.name)
        self.hops = 0
        """The longest way among the events at hand: what an emitted event counts on from, where its cause is but an id."""

    @property
    def log(self) -> LogView:
        return self._runner.store.log

    @property
    def live(self) -> bool:
        return self._runner.live

    @property
    def read_until(self) -> int:
        return self._runner.read_until()

    def read(self, statement: Any) -> Sequence[Any]:
        return self._runner.store.read(statement)

    def write(self, statement: Any, rows: Sequence[Mapping[str, Any]] = ()) -> None:
        self.pending.add(statement, rows)

    def emit(self, event: Event, *, cause: Event | str, name: str = "") -> None:
        hops = (cause.hops if isinstance(cause, Event) else max(event.hops, self.hops)) + 1
        if hops > MAX_HOPS:
            self.count("dropped")
            return
        origin = cause.id if isinstance(cause, Event) else cause
        moment = moment_of(origin) or event.time
        made = msgspec.structs.replace(
            event,
            id=derived_id(moment, self.name, origin, event.type, name),
            time=event.time or self.clock(),
            caused_by=origin,
            hops=hops,
        )
        # plain data from here on: a value's own code must not run inside the transaction, nor change what others see
        line = encode(made)
        self.pending.count(1, len(line))
        self.pending.events.append(decode(line))

    def count(self, name: str, amount: int = 1) -> None:
        counters = self._runner.counters
        counters[name] = counters.get(name, 0) + amount

    def mount(self, path: str, app: Any) -> None:
        if self._runner.on_mount is not None:
            self._runner.on_mount(self.name, path, app)

    def plugins(self) -> Sequence[PluginStatus]:
        return self._runner.all_statuses()
