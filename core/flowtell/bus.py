"""The bus: `emit` takes an event from whoever has one, and never raises, blocks on a network or takes a lock.

The journal is opened at the first event, in whatever home the configuration names; nothing happens at import. What is
attached in process (a recorder, a plugin in a notebook) gets the same struct after the journal has its line.
"""

from __future__ import annotations

import sys
import time
from _thread import RLock  # `threading` has the same one, and costs its import
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from flowtell.errors import ConfigError, FlowtellError, JournalUnwritable, MalformedEvent
from flowtell.events import Event, decode, encode
from flowtell.version import VERSION

if TYPE_CHECKING:
    from flowtell.config import Config
    from flowtell.journal import Journal
    from flowtell.shipping.memory import MemoryJournal

Sink = Callable[[Event], None]

_RETRY_SECONDS: Final = 5.0


class _Bus:
    """The state of one process. A forked child starts with a fresh journal and the same sinks."""

    def __init__(self) -> None:
        self.journal: Journal | MemoryJournal | None = None
        self.shipper: Any = None
        """The module that ships the journal, where one does."""
        self.sinks: tuple[Sink, ...] = ()
        self.dropped = 0
        self.source = ""
        self.settings: Config | None = None
        self._retry_at = 0.0
        self._warned: set[str] = set()
        self._fork_hook_set = False
        self._opening = RLock()

    def ready(self) -> Journal | MemoryJournal | None:
        """The journal, opened when it is not, by one thread; None while it cannot be."""
        if not self._fork_hook_set:
            import os

            os.register_at_fork(after_in_child=self._forked)
            self._fork_hook_set = True
        with self._opening:
            if self.journal is not None:
                return self.journal
            now = time.monotonic()
            if now < self._retry_at:
                return None
            try:
                return self._open()
            except FlowtellError as error:
                self._retry_at = now + _RETRY_SECONDS
                self.warn_once(error)
                return None

    def _open(self) -> Journal | MemoryJournal:
        settings = self.settings = self.read_settings()
        from flowtell.journal import open_journal  # what a process that has emitted nothing need not load

        journal: Journal | MemoryJournal
        try:
            journal = open_journal(settings.home, environment=settings["environment"], source=self.source, version=VERSION)
        except JournalUnwritable:
            if not settings["url"]:
                raise
            journal = self._in_memory(settings)
        journal.unreported = self.dropped
        self.journal = journal
        if settings["url"]:
            self._ship(journal, settings)
        return journal

    def _in_memory(self, settings: Config) -> MemoryJournal:
        from flowtell.journal import new_header
        from flowtell.shipping.memory import MemoryJournal

        header = new_header(settings["environment"], self.source, VERSION)
        return MemoryJournal(header, settings["shipping.memory_bytes"])

    def _ship(self, journal: Journal | MemoryJournal, settings: Config) -> None:
        from flowtell.shipping import shipper

        self.shipper = shipper
        shipper.begin(journal, settings, self.warn_once)

    def read_settings(self) -> Config:
        from flowtell import config

        try:
            return config.load()
        except ConfigError as error:  # a slip in the configuration must not stop a flow, and its events go where they can
            self.warn_once(error)
            return config.load(environ={}, folder="/")

    def _forked(self) -> None:
        self.journal = None  # its descriptor is closed by the journal's own hook
        self._opening = RLock()  # another thread of the parent may have held it
        self._retry_at = 0.0
        self.dropped = 0

    def forget(self) -> None:
        """Begin anew: try the folder again, warn again, count from zero."""
        self._retry_at = 0.0
        self._warned.clear()
        self.dropped = 0

    def warn_once(self, error: FlowtellError) -> None:
        """One line on stderr for each kind of trouble: a flow's output is its own."""
        if error.code in self._warned:
            return
        self._warned.add(error.code)
        try:
            sys.stderr.write(f"flowtell: {error} [{error.code}]\n")
        except (OSError, ValueError, AttributeError):  # stderr closed, or none at all
            pass


_bus: Final = _Bus()
_line_of: Callable[[Event], bytes] = encode
"""`encode` until a secret is loaded: what nobody needs costs nothing."""


def redact_lines(redact: Callable[[bytes], bytes] | None) -> None:
    """Have every line go through `redact` from now on, and every sink get what it left; None: through nothing."""
    global _line_of
    _line_of = encode if redact is None else lambda event: redact(encode(event))


def emit(event: Event) -> None:
    """Write the event into this process's journal. Never raises; what cannot be written is dropped and counted.

    When it returns and the event was not dropped, a `kill -9` of any process loses nothing. From any thread.
    """
    try:
        line = _line_of(event) + b"\n"
    except MalformedEvent as error:
        _lost_before_writing(error)
        return
    journal = _bus.journal or _bus.ready()
    if journal is None or not journal.write(line):
        _lost(journal)
    if _bus.sinks:
        _deliver(event if _line_of is encode else decode(line))


def _lost_before_writing(error: MalformedEvent) -> None:
    _bus.dropped += 1
    if _bus.journal is not None:
        _bus.journal.unreported += 1
    _bus.warn_once(error)


def _lost(journal: Journal | MemoryJournal | None) -> None:
    _bus.dropped += 1
    if journal is not None:
        problem = "the file did not take a whole line" if journal.path else "no room is left until some of it was shipped"
        _bus.warn_once(JournalUnwritable(journal.path or "memory", problem))


def _deliver(event: Event) -> None:
    for sink in _bus.sinks:
        try:
            sink(event)
        except Exception as error:  # noqa: BLE001  # a sink is somebody else's code, and emit never raises
            _bus.warn_once(FlowtellError(f"{sink!r} raised {type(error).__name__}: {error}"))


def dropped() -> int:
    """Events of this process that no journal took."""
    return _bus.dropped


def warn_once(error: FlowtellError) -> None:
    """Say on stderr what went wrong with observing, once for each kind in this process."""
    _bus.warn_once(error)


def attach(sink: Sink) -> None:
    """Hand every event emitted in this process to `sink` too, on the emitting thread: it must be quick and not raise."""
    _bus.sinks = (*_bus.sinks, sink)


def detach(sink: Sink) -> None:
    _bus.sinks = tuple(other for other in _bus.sinks if other is not sink)


def set_source(source: str) -> None:
    """Name the source that this process's journal speaks for. Before the first event."""
    _bus.source = source


def settings() -> Config:
    """The configuration that this process's journal was opened with."""
    if _bus.settings is None:
        _bus.settings = _bus.read_settings()
    return _bus.settings


def journal_path() -> str:
    """Where this process writes, or an empty string before its first event and where it cannot."""
    return _bus.journal.path if _bus.journal else ""


def open_journal_path() -> str:
    """As `journal_path`, with the journal opened where it is not."""
    journal = _bus.journal or _bus.ready()
    return journal.path if journal else ""


def open_writer() -> str:
    """The writer of this process's journal, which is opened where it is not; empty where it cannot be."""
    journal = _bus.journal or _bus.ready()
    return journal.header.writer if journal else ""


def join(path: str) -> None:
    """Write from now on into the journal of another process of this machine, which this one works for.

    Raises:
        JournalUnwritable: it cannot be appended to.
    """
    from flowtell.journal import join_journal

    _write_elsewhere(join_journal(path))


def write_through(journal: Any) -> None:
    """Write from now on into `journal`, which has what `Journal` has; whoever works for a process elsewhere brings it."""
    _write_elsewhere(journal)


def _write_elsewhere(journal: Any) -> None:
    if _bus.journal is not None:
        _bus.journal.close()
    _bus.settings = _bus.settings or _bus.read_settings()
    _bus.journal = journal


def relay(line: bytes, *, write: bool) -> None:
    """Take a line that another process has emitted for this one: to the sinks, and with `write` to the journal first.

    Never raises; what is no event is dropped.
    """
    try:
        event = decode(line)
    except MalformedEvent as error:
        _lost_before_writing(error)
        return
    if write:
        emit(event)
    elif _bus.sinks:
        _deliver(event)


def has_sinks() -> bool:
    """Whether anything in this process listens to each event."""
    return bool(_bus.sinks)


def renew() -> None:
    """Close the journal; the next event opens another. What was left open in the closed one has crashed."""
    if _bus.journal is not None:
        if _bus.shipper is not None:
            _bus.shipper.end()
        _bus.journal.close()
        _bus.journal = None
    _bus.settings = None
    _bus.forget()
