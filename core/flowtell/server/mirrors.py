"""Shipped journals, kept byte for byte at the offsets that they have at their writers, for the ingester to read.

A mirror may have a hole where the log holds what is not here: after a takeover, or when it was deleted and its writer
came back.
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Final, NamedTuple

from sqlalchemy import select

from flowtell.journal import FOLDER as JOURNALS
from flowtell.server.batches import LARGEST_HEADER, Batch
from flowtell.store.store import Store
from flowtell.store.tables import writers

FOLDER: Final = "shipped"


class Receipt(NamedTuple):
    """What a server has of a writer."""

    place: int
    """It needs the journal from here on."""
    logged: int
    """Up to here the events are in the log: their sender may forget them."""
    local: bool = False
    """The journal lies on this server's own disk and is read there."""


class Misplaced(Exception):
    """The batch does not go on where the mirror ends; `receipt` says where that is."""

    def __init__(self, receipt: Receipt, problem: str) -> None:
        self.receipt, self.problem = receipt, problem
        super().__init__(problem)


class NoRoom(Exception):
    """The disk took nothing."""


class Mirror:
    """One shipped journal. Its lock is held while bytes are added, and while the file is deleted."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.size = self.logged = self.counted = 0
        self.header_line = b""
        self.deleted = False

    @property
    def receipt(self) -> Receipt:
        return Receipt(max(self.size, self.logged, len(self.header_line)), self.logged)

    def look(self) -> None:
        """See what lies on disk."""
        try:
            with open(self.path, "rb") as file:
                first, newline, _ = file.read(LARGEST_HEADER).partition(b"\n")
                self.header_line = first + newline
                self.size = file.seek(0, os.SEEK_END)
        except FileNotFoundError:
            self.size = 0


class Mirrors:
    """All mirrors of a home. From any thread."""

    def __init__(self, store: Store, home: str, backlog_bytes: int) -> None:
        self._store, self._home = store, home
        self._folder = os.path.join(home, FOLDER)
        self._backlog_bytes = backlog_bytes
        self._lock = threading.Lock()
        self._mirrors: dict[str, Mirror] = {}
        self.backlog = 0
        """Bytes received and not yet in the log."""

    @property
    def full(self) -> bool:
        """Whether senders are to wait until the log has taken more."""
        return self.backlog >= self._backlog_bytes

    # --- receiving ------------------------------------------------------------------------------------------------

    def receive(self, batch: Batch) -> Receipt:
        """Add what is new in the batch. When this returns, the mirror has it.

        Raises:
            Misplaced: it leaves a gap, or contradicts what is there.
            NoRoom: the disk is full. Nothing of it is kept.
        """
        local = self._local(batch.file, batch.header.writer)
        if local:
            return local
        while True:
            mirror = self.of(batch.file)
            with mirror.lock:
                if mirror.deleted:  # since it was found
                    continue
                fresh = self._fresh(mirror, batch)
                if fresh or not mirror.size:
                    self._write(mirror, batch, fresh)
                return mirror.receipt

    def of(self, file: str) -> Mirror:
        """The mirror of that file name, as it is on disk and in the log when it is first asked for."""
        with self._lock:
            mirror = self._mirrors.get(file)
        if mirror is None:
            found = Mirror(os.path.join(self._folder, file))
            found.look()
            found.logged = self._logged(file.partition("-")[0])
            with self._lock:
                mirror = self._mirrors.setdefault(file, found)
            self._count(mirror)
        return mirror

    def find(self, writer: str) -> Receipt | None:
        """What there is of a writer; None for one that nobody has heard of."""
        row = self._store.read(select(writers.c.file, writers.c.place).where(writers.c.name == writer))
        if row and row[0].file:
            return self._local(row[0].file, writer) or self.of(row[0].file).receipt
        with self._lock:  # received a moment ago, and not yet seen by the ingester
            mine = [mirror for file, mirror in self._mirrors.items() if file.startswith(f"{writer}-")]
        return mine[0].receipt if mine else None

    def _local(self, file: str, writer: str) -> Receipt | None:
        if not os.path.exists(os.path.join(self._home, JOURNALS, file)):
            return None
        logged = self._logged(writer)
        return Receipt(logged, logged, local=True)

    def _logged(self, writer: str) -> int:
        row = self._store.read(select(writers.c.place).where(writers.c.name == writer))
        return int(row[0].place) if row else 0

    def _fresh(self, mirror: Mirror, batch: Batch) -> bytes:
        """What the mirror lacks of the batch's lines."""
        if mirror.header_line and mirror.size and batch.header_line != mirror.header_line:
            raise Misplaced(mirror.receipt, "this writer's journal begins with another header line")
        mirror.header_line = batch.header_line
        have = mirror.receipt.place
        if batch.place > have:
            raise Misplaced(mirror.receipt, f"a gap: the batch begins at {batch.place}, and {have} bytes are here")
        known = have - batch.place
        if known and not self._agrees(mirror, batch, have):
            raise Misplaced(mirror.receipt, "other bytes lie here at that place")
        return batch.lines[known:]

    def _agrees(self, mirror: Mirror, batch: Batch, have: int) -> bool:
        """Whether the batch repeats what is here. What the log has may lie in a hole, and is not compared."""
        start = max(batch.place, mirror.logged)
        end = min(have, batch.place + len(batch.lines), mirror.size)
        if start >= end:
            return True
        with open(mirror.path, "rb") as file:
            return os.pread(file.fileno(), end - start, start) == batch.lines[start - batch.place : end - batch.place]

    def _write(self, mirror: Mirror, batch: Batch, fresh: bytes) -> None:
        place = mirror.receipt.place
        os.makedirs(self._folder, mode=0o770, exist_ok=True)
        hidden = mirror.path if mirror.size else os.path.join(self._folder, f".{batch.file}")
        try:
            fd = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
            try:
                if not mirror.size:
                    _write_whole(fd, batch.header_line, 0)
                    os.ftruncate(fd, max(place, len(batch.header_line)))
                _write_whole(fd, fresh, place)
            except OSError:
                if mirror.size:
                    os.ftruncate(fd, mirror.size)
                raise
            finally:
                os.close(fd)
            if hidden != mirror.path:
                os.rename(hidden, mirror.path)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoRoom from error
            raise
        mirror.size = place + len(fresh)
        self._count(mirror)

    # --- what the ingester tells ----------------------------------------------------------------------------------

    def note_logged(self, mirror: Mirror, place: int) -> None:
        """The log has the journal up to `place`."""
        mirror.logged = place
        self._count(mirror)

    def _count(self, mirror: Mirror) -> None:
        waiting = max(mirror.size - mirror.logged, 0)
        with self._lock:
            self.backlog += waiting - mirror.counted
            mirror.counted = waiting

    def delete(self, mirror: Mirror) -> bool:
        """Delete the file if the log has all of it. One that has grown meanwhile stays and is read on."""
        with mirror.lock:
            if mirror.size > mirror.logged:
                return False
            os.unlink(mirror.path)
            mirror.deleted = True
            with self._lock:
                self._mirrors.pop(os.path.basename(mirror.path), None)
            return True


def _write_whole(fd: int, content: bytes, place: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(fd, view, place)
        view, place = view[written:], place + written
