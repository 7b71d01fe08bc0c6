"""Journals of this home whose process has ended before all of it was shipped: the next process sends them on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

from flowtell.journal import FOLDER, SUFFIX
from flowtell.machine import is_locked
from flowtell.shipping.file import JournalFile, NoJournal
from flowtell.shipping.sender import Sender
from flowtell.shipping.shipment import Shipment

_LOOK_SECONDS: Final = 10.0


def somebody_reads(home: str) -> bool:
    """Whether an agent or a server works on this home, whose business its journals then are."""
    return is_locked(os.path.join(home, "ingest.lock"))


def agent_runs(home: str) -> bool:
    """Whether an agent ships this home's journals."""
    try:
        with open(os.path.join(home, "ingest.lock"), "rb") as file:
            named = file.read(200).partition(b" ")[2].startswith(b"agent ")
    except OSError:
        return False
    return named and somebody_reads(home)


class Orphans:
    """One at a time, under its lock, so that two processes never send the same. Used by one thread at a time."""

    def __init__(self, home: str, shipper: str) -> None:
        self._home, self._shipper = home, shipper
        self._file: JournalFile | None = None
        self._shipment: Shipment | None = None
        self._look_at = 0.0

    def send(self, sender: Sender) -> None:
        """Send a part of the oldest; delete it once the server's log has it.

        Raises:
            ServerUnreachable, ShippingRefused: it stays.
        """
        if self._shipment is None and not self._find():
            return
        shipment, file = self._shipment, self._file
        assert shipment is not None
        assert file is not None
        if not shipment.said_farewell:
            shipment.send(sender, last=True)
        elif not shipment.all_logged():
            shipment.look(sender)
        if shipment.local:  # the server's own business
            self.close()
        elif shipment.said_farewell and shipment.all_logged():
            file.delete()
            self.close()
            self._look_at = 0.0

    def _find(self) -> bool:
        if time.monotonic() < self._look_at or somebody_reads(self._home):
            return False
        for path in self._paths():
            try:
                file = JournalFile(path)
            except (OSError, NoJournal):
                continue
            if file.take_lock():
                self._look_at = time.monotonic() + _LOOK_SECONDS
                self._file, self._shipment = file, Shipment(file, self._shipper)
                return True
            file.close()
        self._look_at = time.monotonic() + _LOOK_SECONDS
        return False

    def _paths(self) -> Iterator[str]:
        folder = os.path.join(self._home, FOLDER)
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX) and not name.startswith("."))
        except OSError:
            return
        for name in names:
            yield os.path.join(folder, name)

    def close(self) -> None:
        """Free the lock of the one that is on its way."""
        file, self._file, self._shipment = self._file, None, None
        if file is not None:
            file.close()
