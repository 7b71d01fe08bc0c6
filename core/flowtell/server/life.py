"""How an ingester sees whether a journal's writer lives: by its lock on this machine, by its shipper elsewhere."""

from __future__ import annotations

from typing import Any, Protocol

from flowtell.server.mirrors import Mirror, Mirrors
from flowtell.server.presence import Presence
from flowtell.server.tail import JournalTail


class Life(Protocol):
    """Asked by the ingester's thread alone."""

    shipped: bool
    """Whether the journal came by HTTP."""

    def has_ended(self) -> bool:
        """Whether the writer has ended. Then `release` follows, once what it left was read."""

    def release(self) -> None: ...

    def died(self, now: int) -> int:
        """When the writer ended, as near as can be said, in µs."""

    def known(self) -> dict[str, Any]:
        """What the writer's row should say of its life."""

    def note_logged(self, place: int) -> None:
        """The log has the journal up to `place`."""

    def note_end(self) -> None:
        """All that the writer left open has been ended."""

    def delete(self) -> bool:
        """Delete the journal if the log has all of it. False when that cannot be now."""


class LockLife:
    """On this machine the lock of the file says it, and the kernel frees that at death."""

    shipped = False

    def __init__(self, tail: JournalTail) -> None:
        self._tail = tail
        self._seen_alive = False

    def has_ended(self) -> bool:
        if self._tail.take_lock() or self._tail.writer_gone():
            return True
        self._seen_alive = True
        return False

    def release(self) -> None:
        self._tail.free_lock()

    def died(self, now: int) -> int:
        # a death that we did not see happen lies near the last line, which may be long ago
        return now if self._seen_alive else min(now, self._tail.last_sign_of_life())

    def known(self) -> dict[str, Any]:
        return {}

    def note_logged(self, place: int) -> None:
        pass

    def note_end(self) -> None:
        pass

    def delete(self) -> bool:
        if not self._tail.take_lock():  # a stray child still holds it: later
            return False
        if not self._tail.has_line():
            self._tail.delete()
        return True


class ShippedLife:
    """Elsewhere, what its shipper does says it."""

    shipped = True

    def __init__(self, tail: JournalTail, mirrors: Mirrors, mirror: Mirror, presence: Presence) -> None:
        self._tail, self._mirrors, self._mirror, self._presence = tail, mirrors, mirror, presence
        self._writer = tail.header.writer

    def has_ended(self) -> bool:
        return self._presence.verdict(self._writer) != "lives"

    def release(self) -> None:
        pass

    def died(self, now: int) -> int:
        sign = self._presence.last_sign(self._writer)
        return min(now, sign.last_sign if sign else self._tail.last_sign_of_life())

    def known(self) -> dict[str, Any]:
        sign = self._presence.last_sign(self._writer)
        return sign._asdict() if sign else {}

    def note_logged(self, place: int) -> None:
        self._mirrors.note_logged(self._mirror, place)

    def note_end(self) -> None:
        self._presence.forget(self._writer)

    def delete(self) -> bool:
        if self._mirrors.delete(self._mirror):
            self._presence.forget(self._writer)
        return True


class UnseenLife:
    """Nobody here hears the shippers: the writer is left to the next server."""

    shipped = True

    def has_ended(self) -> bool:
        return False

    def release(self) -> None:
        pass

    def died(self, now: int) -> int:
        return now

    def known(self) -> dict[str, Any]:
        return {}

    def note_logged(self, place: int) -> None:
        pass

    def note_end(self) -> None:
        pass

    def delete(self) -> bool:
        return False
