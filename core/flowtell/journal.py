"""The journal: an append-only file of JSON lines into which one process writes its events.

To the letter, since a dead process is told from a living one by its lock:

- The name holds time, random id and process, and is never reused.
- It is opened hidden (append, close-on-exec), locked, given a header line, then renamed into view. Created in place, a
  prober between creation and lock sees a death.
- One `write` a line under no lock; with O_APPEND, lines of many threads never mix.
- After a short or failed write the next one begins with a newline, else it would be glued to the torn line and lost.
- A forked child closes the descriptor and never unlocks: the lock belongs to the open file, which it shares with its parent.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from typing import Any, Final

import msgspec

from flowtell.decoders import decoder
from flowtell.errors import JournalUnwritable
from flowtell.ids import new_id
from flowtell.machine import ProcessMark, this_process

FORMAT: Final = 1
SUFFIX: Final = ".jsonl"
FOLDER: Final = "journals"
_LONGEST_HEADER: Final = 16_384


class Header(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="journal.opened", tag_field="type"):
    """First line of a journal: who writes it, and the values that all its lines share."""

    writer: str
    format: int = 1
    """Absent in the first, so it stays that whatever `FORMAT` becomes."""
    time: int = 0
    monotonic: int = 0
    """The writer's monotonic clock in ns at `time`, so that a jump of its wall clock can be told."""
    machine: str = ""
    boot: str = ""
    pid: int = 0
    pid_started: int = 0
    pid_namespace: str = ""
    version: str = ""
    python: str = ""
    environment: str = ""
    source: str = ""
    elsewhere: bool = False
    """Its runs live in other processes: they go on when this writer ends."""

    @property
    def process(self) -> ProcessMark:
        return ProcessMark(self.machine, self.boot, self.pid, self.pid_started, self.pid_namespace)


class _Format(msgspec.Struct, tag="journal.opened", tag_field="type"):
    """All of a header that no later format may change."""

    format: int = 1


class Dropped(msgspec.Struct, frozen=True, tag="journal.dropped", tag_field="type"):
    """A line that tells how many events could not be written since the last such line."""

    count: int


class Journal:
    """One open journal. `write` may be called from any thread."""

    __slots__ = ("_fd", "_torn", "header", "path", "unreported")

    def __init__(self, fd: int, path: str, header: Header) -> None:
        self._fd, self.path, self.header = fd, path, header
        self._torn = False
        self.unreported = 0
        """Events lost and not yet told of in this journal."""

    def write(self, line: bytes) -> bool:
        """Append `line`, which ends with a newline. False when the file did not take it whole; then the event is lost."""
        if self._torn or self.unreported:
            return self._write_after_trouble(line)
        try:
            if os.write(self._fd, line) == len(line):
                return True
        except OSError:
            pass
        self._torn = True
        self.unreported += 1
        return False

    def _write_after_trouble(self, line: bytes) -> bool:
        lost = self.unreported
        told = msgspec.json.encode(Dropped(lost)) + b"\n" if lost else b""
        whole = (b"\n" if self._torn else b"") + told + line
        try:
            written = os.write(self._fd, whole)
        except OSError:
            written = 0
        if written == len(whole):
            self._torn = False
            self.unreported -= lost
            return True
        self._torn = self._torn or written > 0
        self.unreported += 1
        return False

    def close(self) -> None:
        """Free the lock: the server reads the rest, and what this journal left open has crashed."""
        _open_journals.discard(self)
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


_open_journals: set[Journal] = set()
_fork_hook_set = False


def _forget_in_child() -> None:
    """The child's copies of the descriptors are closed, so that they do not keep the parent's locks alive."""
    for journal in list(_open_journals):
        journal.close()


def _close_in_forks() -> None:
    global _fork_hook_set
    if not _fork_hook_set:
        os.register_at_fork(after_in_child=_forget_in_child)
        _fork_hook_set = True


def open_journal(
    home: str, *, environment: str = "", source: str = "", version: str = "", elsewhere: bool = False
) -> Journal:
    """Create this process's journal under `home`. With `elsewhere` its end is no death of the runs in it.

    Raises:
        JournalUnwritable: the folder cannot be made, or takes no file.
    """
    folder = os.path.join(home, FOLDER)
    header = new_header(environment, source, version, elsewhere=elsewhere)
    name = f"{header.writer}-{header.pid}{SUFFIX}"
    hidden, path = os.path.join(folder, f".{name}"), os.path.join(folder, name)
    fd = -1
    try:
        os.makedirs(folder, mode=0o770, exist_ok=True)
        fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o660)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        line = msgspec.json.encode(header) + b"\n"
        if os.write(fd, line) != len(line):
            raise OSError("no space for the first line")
        os.rename(hidden, path)
    except OSError as error:
        if fd >= 0:
            os.close(fd)
            _remove_quietly(hidden)
        raise JournalUnwritable(folder, error.strerror or str(error)) from error
    journal = Journal(fd, path, header)
    _close_in_forks()
    _open_journals.add(journal)
    return journal


def join_journal(path: str) -> Journal:
    """Append to the journal of another process of this machine, which holds its lock: who joins is a part of that process.

    Lines of both stand in the order of their writing, since each is one `write` to a file opened for appending.

    Raises:
        JournalUnwritable: it is gone, or none of ours.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except OSError as error:
        raise JournalUnwritable(path, error.strerror or str(error)) from error
    header = decode_header(os.pread(fd, _LONGEST_HEADER, 0).partition(b"\n")[0])
    if header is None:
        os.close(fd)
        raise JournalUnwritable(path, "its first line is no header")
    journal = Journal(fd, path, header)
    _close_in_forks()
    _open_journals.add(journal)
    return journal


def new_header(environment: str, source: str, version: str, *, elsewhere: bool = False) -> Header:
    """The header of a new journal of this process, under a writer id of its own."""
    process = this_process()
    now = time.time_ns() // 1000
    return Header(
        writer=new_id(now),
        format=FORMAT,
        time=now,
        monotonic=time.monotonic_ns(),
        machine=process.machine,
        boot=process.boot,
        pid=process.pid,
        pid_started=process.started,
        pid_namespace=process.namespace,
        version=version,
        python=f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}",
        environment=environment,
        source=source,
        elsewhere=elsewhere,
    )


def _remove_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


def encode_header(header: Header) -> str:
    return msgspec.json.encode(header).decode()


_header: Final = decoder(Header)
_format: Final = decoder(_Format)
_dropped: Final = decoder(Dropped)


def decode_header(line: bytes) -> Header | None:
    """The header on a journal's first line, or None where that is no header of a format this reader knows."""
    try:
        header = _header(line)
    except msgspec.MsgspecError:
        return None
    return header if header.format <= FORMAT else None


def format_of(line: bytes) -> int:
    """The format that a journal's first line names, of whatever version; 0 where it is no header."""
    try:
        return _format(line).format
    except msgspec.MsgspecError:
        return 0


def decode_control(line: bytes) -> Any:
    """A `journal.*` line that is no event: today only `Dropped`; None for one that this reader does not know."""
    try:
        return _dropped(line)
    except msgspec.MsgspecError:
        return None
