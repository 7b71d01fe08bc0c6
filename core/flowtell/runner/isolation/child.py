"""The main function of an isolated plugin's process: answers one call after the other until the pipe ends."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import sys
import threading
import traceback
from contextlib import suppress
from importlib.metadata import EntryPoint
from typing import Any, Final

from sqlalchemy import MetaData

from flowtell.errors import FlowtellError, NotIsolable
from flowtell.plugin import Plugin, RetryLater
from flowtell.runner.isolation import messages as m
from flowtell.runner.isolation.child_context import ChildContext
from flowtell.runner.isolation.child_log import log_to
from flowtell.runner.isolation.event_batch import decode_batch
from flowtell.runner.isolation.line import Line
from flowtell.runner.isolation.table_spelling import tables_of
from flowtell.runner.isolation.values import CannotCross
from flowtell.runner.shape import misfit

_F_SETSIG: Final = 10  # Linux; the module `fcntl` has no name for it
_LONGEST_TEXT: Final = 20_000


def main(pipe: int, lifeline: int, reserve: int, nice: int) -> None:
    """Serve the server at the other end of `pipe`, and die with it.

    Args:
        pipe: descriptor of this end of the pipe.
        lifeline: descriptor that ends when the server does.
        reserve: bytes of memory that may be reserved at most, 0 for no bound.
        nice: how much this process stands back for others.
    """
    _die_with(lifeline)
    _stand_back(reserve, nice)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave_to_the_server)
    _Child(Line(socket.socket(fileno=pipe))).serve()


def _leave_to_the_server(number: int, frame: Any) -> None:
    """Who stops a server and all its processes means that the server closes its plugins.

    A handler, as programs that are started from here would inherit what is ignored.
    """


def _die_with(lifeline: int) -> None:
    """Have the kernel kill this process and its forks when the server's end closes.

    Even a thread could not while C code holds the interpreter, and PR_SET_PDEATHSIG asks for the server's thread, which may
    end before the server does.
    """
    if sys.platform != "linux":  # its SIGIO kills nobody: a thread waits, which is most of it
        threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpid())  # the group that it leads
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    with suppress(BlockingIOError):  # there is nothing to read while it lives
        if os.read(lifeline, 1) == b"":
            os._exit(0)  # it has died since


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(os.getpid(), signal.SIGKILL)


def _stand_back(reserve: int, nice: int) -> None:
    if reserve:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_DATA, (reserve, reserve))
    if nice:
        os.nice(nice)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")  # where memory ends, this process goes before the server


class _Child:
    """One plugin, from `Make` to `Close`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._plugin: Plugin | None = None
        self._context: ChildContext | None = None

    def serve(self) -> None:
        while True:
            self._line.say(self._answered(self._line.next_request()))

    def _answered(self, request: m.Request) -> m.Reply:
        try:
            return self._answer(request)
        except RetryLater as later:
            return m.Failed("RetryLater", later.reason, "", retry_after=later.seconds, counted=self._counted())
        except NotIsolable as error:
            return m.Refused(error.problem)
        except BaseException as error:  # noqa: BLE001  # a plugin's code, which may also exit
            return self._failed(error)

    def _answer(self, request: m.Request) -> m.Reply:
        if isinstance(request, m.Make):
            return self._make(request)
        assert self._plugin is not None
        assert self._context is not None
        if isinstance(request, m.Close):
            self._plugin.close(request.timeout)
            return m.Done()
        assert isinstance(request, m.Open | m.Handle | m.Tick)
        self._context.begin(request.now)
        self._call(request, self._plugin, self._context)
        return self._context.done(self._plugin.tick_seconds)

    def _call(self, request: m.Open | m.Handle | m.Tick, plugin: Plugin, context: ChildContext) -> None:
        if isinstance(request, m.Handle):
            plugin.handle(decode_batch(request.events))
        elif isinstance(request, m.Tick):
            plugin.tick(request.time)
        else:
            plugin.open(context)

    def _failed(self, error: BaseException) -> m.Failed:
        code = f"{error.code}: " if isinstance(error, FlowtellError) else ""
        return m.Failed(
            type(error).__name__,
            (code + _text_of(error))[:_LONGEST_TEXT],
            "".join(traceback.format_exception(error))[-_LONGEST_TEXT:],
            unwell=self._context is not None and self._context.is_unwell(error),
            counted=self._counted(),
        )

    def _counted(self) -> dict[str, int]:
        return self._context.take_counted() if self._context else {}

    # --- making it ------------------------------------------------------------------------------------------------

    def _make(self, request: m.Make) -> m.Reply:
        log_to(self._line, request.level)
        factory = EntryPoint(request.name, request.target, "flowtell.plugins").load()
        plugin = factory(dict(request.settings))
        if plugin is None:
            return m.Made(configured=False)
        problem = misfit(plugin)
        if problem:
            return m.Refused(problem)
        plugin.name = request.name
        self._plugin = plugin
        self._context = ChildContext(self._line, request, plugin.tables if plugin.tables is not None else MetaData())
        return self._made(plugin, self._context)

    def _made(self, plugin: Plugin, context: ChildContext) -> m.Reply:
        try:
            tables = None if plugin.tables is None else tables_of(plugin.tables, context.dialect)
        except CannotCross as error:
            return m.Refused(f"{error} cannot be told to the server, so it must run without isolate")
        return m.Made(True, tuple(plugin.wants), plugin.effects, plugin.api, plugin.tick_seconds, tables)


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a plugin's own exception may not even have a text
        return "(its text raised)"
