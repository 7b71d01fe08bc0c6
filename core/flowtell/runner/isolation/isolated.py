"""A plugin in a process of its own, as the runner sees it: a plugin like any other, whose calls go through a pipe.

The runner keeps cursor, write set and commit. What the plugin wrote, emitted and counted comes back with the answer and is
handed to the runner's context as if it had been called here; of a call that fails, nothing does but its counts.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import MetaData

from flowtell.errors import (
    BadWriteSet,
    IsolatedFailure,
    NotIsolable,
    PluginDied,
    PluginOutgrew,
    PluginTimedOut,
)
from flowtell.events import Event, UserEvent, decode
from flowtell.plugin import Context, Plugin, RetryLater
from flowtell.runner.apart import Apart
from flowtell.runner.isolation import messages as m
from flowtell.runner.isolation.building import Builder, tables_from
from flowtell.runner.isolation.event_batch import encode_batch
from flowtell.runner.isolation.frames import FrameTooLong, PipeEnded
from flowtell.runner.isolation.process import Bounds, PluginProcess

KEPT_STATEMENTS: Final = 256
_CLOSE_GRACE: Final = 0.5
"""Seconds beyond its time that a `close` may take before the process is killed."""
_MAKE_SECONDS: Final = 15.0
"""The least that a process gets to start and to import the plugin, whatever the deadline."""
_LIVELINESS_SECONDS: Final = 0.05
"""How often a call under way looks whether the process has outgrown its bound."""


class Home(NamedTuple):
    """Where the plugin's process finds the log and the tables, which it opens to read."""

    store: str
    folder: str = ""
    environment: str = ""


class Isolation(NamedTuple):
    """How one plugin is isolated."""

    home: Home
    deadline: float = 30.0
    bounds: Bounds = Bounds()
    clock: Callable[[], int] | None = None
    """Where it is not the system's, which the process has itself."""


def isolated(target: str, name: str, isolation: Isolation) -> Callable[[Mapping[str, Any]], Plugin | None]:
    """A factory that makes the plugin of the factory `target` (`module:attribute`) in a new process, each time."""

    def make(settings: Mapping[str, Any]) -> Plugin | None:
        plugin = IsolatedPlugin(target, name, settings, isolation)
        return plugin if plugin.configured else None

    return make


def target_of(factory: Callable[..., Any]) -> str:
    """What another process imports the factory by.

    Raises:
        ValueError: it is no function of a module.
    """
    target = f"{factory.__module__}:{factory.__qualname__}"
    if "<" in target or factory.__module__ == "__main__":
        raise ValueError(f"{target} cannot be imported by name; an isolated plugin's factory is a function of a module")
    return target


class IsolatedPlugin(Apart):
    """See `flowtell.plugin.Plugin`. A call that takes longer than the deadline ends with the process killed."""

    def __init__(self, target: str, name: str, settings: Mapping[str, Any], isolation: Isolation) -> None:
        """Start the process and let it make the plugin.

        Raises:
            PluginRefused: it cannot be made, or has the wrong shape.
            IsolatedFailure, PluginDied, PluginTimedOut: what the factory did.
        """
        self.name = name
        self._deadline, self._clock = isolation.deadline, isolation.clock
        self._context: Context | None = None
        self._statements: dict[bytes, Any] = {}
        self._outgrown = 0
        """Resident bytes for which `watch` has killed it."""
        self.process = PluginProcess(isolation.bounds)
        level = logging.getLogger(f"flowtell.plugin.{name}").getEffectiveLevel()
        home, folder, environment = isolation.home
        try:
            make = m.Make(target, name, dict(settings), home, folder, environment, level)
            self._shape(self._call("make", make, max(self._deadline, _MAKE_SECONDS)))
        except BaseException:
            self.process.end()
            raise

    def _shape(self, made: m.Reply) -> None:
        if not isinstance(made, m.Made):
            raise self._broken("make", "it answered something else")
        self.configured, self.effects = made.configured, made.effects
        self.api, self.tick_seconds = made.api, made.tick_seconds
        self.wants: Sequence[str] = made.wants
        self.tables: MetaData | None = None
        if not made.configured:
            self.process.end()
        elif made.tables is not None:
            try:
                self.tables = tables_from(made.tables)
            except Exception as error:
                raise NotIsolable(self.name, f"its tables: {error}") from error
        self._builder = Builder(self.tables if self.tables is not None else MetaData())

    # --- the calls ------------------------------------------------------------------------------------------------

    def open(self, context: Context) -> None:
        self._context = context
        self._deliver("open", m.Open(self._now()))

    def handle(self, events: Sequence[Event]) -> None:
        self._deliver("handle", m.Handle(self._now(), encode_batch(events)))

    def tick(self, now: int) -> None:
        self._deliver("tick", m.Tick(self._now(), now))

    def close(self, timeout: float) -> None:
        """Let the plugin close, and end the process in any case."""
        if self.process.ended:
            return
        try:
            self._call("close", m.Close(timeout), timeout + _CLOSE_GRACE)
        finally:
            self.process.end()

    def _now(self) -> m.Now:
        return m.Now(self._opened.live, self._clock() if self._clock else 0, self._opened.read_until)

    @property
    def _opened(self) -> Context:
        assert self._context is not None, f"plugin {self.name} is not open"
        return self._context

    def _deliver(self, what: str, request: m.Message) -> None:
        done = self._call(what, request)
        if not isinstance(done, m.Done):
            raise self._broken(what, "it answered something else")
        self.tick_seconds = done.tick_seconds
        self._count(done.counted)
        for written in done.written:
            self._opened.write(self._statement(written.statement), written.rows)
        for emitted in done.emitted:
            self._emit(emitted)

    def _count(self, counted: Mapping[str, int]) -> None:
        for name, amount in counted.items():
            self._opened.count(name, amount)

    def _statement(self, spelled: bytes) -> Any:
        """Built once, as the runner prepares a statement by its identity."""
        built = self._statements.get(spelled)
        if built is None:
            try:
                built = self._builder.statement(m.decode_statement(spelled))
            except Exception as error:
                raise BadWriteSet(self.name, f"{error}"[:500]) from error
            if len(self._statements) >= KEPT_STATEMENTS:
                self._statements.clear()
            self._statements[spelled] = built
        return built

    def _emit(self, emitted: m.Emitted) -> None:
        cause: Event | str = emitted.cause
        if emitted.hops is not None:
            cause = UserEvent(type="cause", id=emitted.cause, hops=emitted.hops)
        self._opened.emit(decode(emitted.event), cause=cause, name=emitted.name)

    # --- one call -------------------------------------------------------------------------------------------------

    def _call(self, what: str, request: m.Message, seconds: float | None = None) -> m.Reply:
        """Ask, and wait for the answer.

        Raises:
            RetryLater, IsolatedFailure, PluginRefused: what the plugin raised.
            PluginTimedOut, PluginDied, PluginOutgrew: the process is gone.
        """
        if self.process.ended:
            raise PluginDied(self.name, what, "had ended before")
        seconds = self._deadline if seconds is None else seconds
        until = time.monotonic() + seconds
        try:
            self.process.send(m.encode(request), until)
            reply = self._answer(what, until)
        except TimeoutError:
            raise self._killed(PluginTimedOut(self.name, what, seconds)) from None
        except (PipeEnded, FrameTooLong, msgspec.MsgspecError) as error:
            raise self._broken(what, error) from None
        except BaseException:  # of whoever waits here: the answer would come to the next call
            self.process.end()
            raise
        return self._outcome(reply)

    def _answer(self, what: str, until: float) -> m.Reply:
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.pipe, selectors.EVENT_READ)
            selector.register(self.process.output, selectors.EVENT_READ)
            while True:
                reply = self._next(until)
                if reply is not None:
                    return reply
                self._wait(selector, what, until)

    def _wait(self, selector: selectors.BaseSelector, what: str, until: float) -> None:
        """For something to come; what the process prints is taken out of its way."""
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        for key, _ in selector.select(min(left, _LIVELINESS_SECONDS)):
            if key.fileobj is self.process.pipe:
                self.process.reader.fill()
            elif not self.process.listen():
                selector.unregister(self.process.output)
        self._check_size(what)

    def _check_size(self, what: str) -> None:
        memory = self.process.outgrown()
        if memory:
            raise self._killed(PluginOutgrew(self.name, what, memory, self.process.bound))

    def _next(self, until: float) -> m.Reply | None:
        """The next whole answer that has come; what is said beside it is dealt with."""
        while (frame := self.process.reader.take()) is not None:
            reply: m.Reply = m.decode_reply(frame)
            if isinstance(reply, m.Logged):
                self._log(reply)
            elif isinstance(reply, m.AskStatuses):
                self.process.send(m.encode(m.Statuses(tuple(self._opened.plugins()))), until)
            else:
                return reply
        return None

    def _log(self, said: m.Logged) -> None:
        text = f"{said.message}\n{said.trace}" if said.trace else said.message
        logger = logging.getLogger(f"flowtell.plugin.{self.name}")
        logger.handle(logger.makeRecord(logger.name, said.level, "(isolated)", 0, text, (), None))

    def _outcome(self, reply: m.Reply) -> m.Reply:
        if isinstance(reply, m.Refused):
            self.process.end()
            raise NotIsolable(self.name, reply.problem)
        if not isinstance(reply, m.Failed):
            return reply
        if self._context is not None:
            self._count(reply.counted)
        if reply.retry_after is not None:
            raise RetryLater(reply.retry_after, reply.message)
        raise IsolatedFailure(self.name, reply.type, reply.message, reply.traceback, unwell=reply.unwell)

    # --- the process's end ----------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return 0 if self.process.ended else self.process.pid

    def memory(self) -> int:
        return 0 if self.process.ended else self.process.memory()

    def strike(self) -> None:
        self.process.strike()

    def end(self) -> None:
        self.process.end()

    def watch(self) -> None:
        """Kill the process if it has outgrown its bound, whatever it is doing."""
        memory = self.process.outgrown()
        if memory:
            self._outgrown = self._outgrown or memory
            self.process.strike()

    def _killed(self, error: Exception) -> Exception:
        self.process.end()
        return error

    def _broken(self, what: str, problem: object) -> Exception:
        """The process is gone or says what cannot be understood: what to raise."""
        memory = self._outgrown or self.process.outgrown()
        died = isinstance(problem, PipeEnded) and self.process.ends_by_itself()
        self.process.hear_out()
        self.process.end()
        if memory:
            return PluginOutgrew(self.name, what, memory, self.process.bound)
        said = "it closed its pipe" if isinstance(problem, PipeEnded) else f"{problem!r:.200}"
        how = self.process.how_it_ended() if died else f"was killed, as {said}"
        return PluginDied(self.name, what, how, self.process.last_words)
