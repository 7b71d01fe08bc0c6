"""The lease of the server that leads, where several share one database: compare-and-set, with a fence for every write.

A leader renews by the database's clock, never by its own. Whoever finds it expired ends the old leader's sessions, takes
the row and counts the epoch up; the old one's next transaction finds the epoch changed and writes nothing. One that was
stopped in the middle of a transaction has lost its session, and with it the transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from flowtell.errors import LeaseLost

SECONDS: Final = 3.0
"""How long a leader that is silent keeps its lease."""

_LEADER: Final = {"name": "server"}
_NOW: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
_EXPIRED: Final = f"(holder = '' OR renewed + seconds * 1000000 < {_NOW})"

_LOOK = text(f"SELECT holder, epoch, address, {_EXPIRED} AS expired FROM leases WHERE name = :name")
_MAKE = text(
    "INSERT INTO leases (name, holder, epoch, renewed, seconds, address) "
    "VALUES (:name, '', 0, 0, 0, '') ON CONFLICT DO NOTHING"
)
_WAIT = text("SELECT 1 FROM leases WHERE name = :name FOR UPDATE")  # for a transaction of the old leader that still writes
_TAKE = text(
    f"UPDATE leases SET holder = :holder, epoch = epoch + 1, renewed = {_NOW}, seconds = :seconds, address = :address "
    f"WHERE name = :name AND epoch = :epoch AND {_EXPIRED} RETURNING epoch"
)
_RENEW = text(f"UPDATE leases SET renewed = {_NOW} WHERE name = :name AND holder = :holder AND epoch = :epoch")
_RELEASE = text("UPDATE leases SET holder = '' WHERE name = :name AND holder = :holder AND epoch = :epoch")
_FENCE = text("SELECT holder FROM leases WHERE name = :name AND holder = :holder AND epoch = :epoch FOR KEY SHARE")
_END_SESSIONS = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = :session AND datname = current_database() AND usename = current_user"
)


class Sessions(Protocol):
    """Where the lease lies: connections for it alone, and the name that the holder's writing sessions go by."""

    holder: str

    def lease_engine(self) -> Engine: ...

    def session_of(self, holder: str) -> str: ...


class Lease:
    """Taken, renewed and given back by one thread; `fence` and `held` are for any."""

    def __init__(self, sessions: Sessions, *, address: str = "", seconds: float = SECONDS) -> None:
        self._sessions, self._engine = sessions, sessions.lease_engine()
        self.seconds, self.address = seconds, address
        self._epoch = 0
        self._safe_until = 0.0

    @property
    def held(self) -> bool:
        """Whether nobody else can have it yet: a fifth of its time is left over for clocks that run differently."""
        return self._epoch > 0 and time.monotonic() < self._safe_until

    def take(self) -> bool:
        """Try once. False while another server has it."""
        began = time.monotonic()
        with self._engine.begin() as connection:
            connection.execute(_MAKE, _LEADER)
        with self._engine.begin() as connection:
            found = connection.execute(_LOOK, _LEADER).one()
            if not found.expired:
                return False
            if found.holder:
                connection.execute(_END_SESSIONS, {"session": self._sessions.session_of(found.holder)})
            connection.execute(_WAIT, _LEADER)
            values = {**_LEADER, **self._mine(found.epoch), "seconds": self.seconds, "address": self.address}
            epoch = connection.execute(_TAKE, values).scalar()
        self._epoch = int(epoch or 0)
        self._safe_until = began + 0.8 * self.seconds
        return bool(epoch)

    def renew(self) -> bool:
        """Keep it. False when another server has taken it; an error of the database leaves it as it is."""
        began = time.monotonic()
        with self._engine.begin() as connection:
            kept = connection.execute(_RENEW, {**_LEADER, **self._mine(self._epoch)}).rowcount == 1
        if kept:
            self._safe_until = began + 0.8 * self.seconds
        else:
            self._epoch = 0
        return kept

    def release(self) -> None:
        """Give it back, so that the next one need not wait. Raises nothing: it expires by itself."""
        epoch, self._epoch = self._epoch, 0
        if epoch:
            try:
                with self._engine.begin() as connection:
                    connection.execute(_RELEASE, {**_LEADER, **self._mine(epoch)})
            except DBAPIError:
                pass

    def close(self) -> None:
        self.release()
        self._engine.dispose()

    @property
    def epoch(self) -> int:
        """Which of all the terms of office this is; 0 while another server has it."""
        return self._epoch

    def fence(self) -> Callable[[Connection], None]:
        """For the beginning of each transaction of this term: nobody takes over before the transaction ends.

        What it gives raises LeaseLost once another server has taken over, and for ever, whoever leads later.
        """
        mine = {**_LEADER, **self._mine(self._epoch)}

        def check(connection: Connection) -> None:
            if connection.execute(_FENCE, mine).first() is None:
                raise LeaseLost(self.leader()[1])

        return check

    def leader(self) -> tuple[str, str]:
        """Holder and address of the server that leads; empty where none does."""
        try:
            with self._engine.connect() as connection:
                row = connection.execute(_LOOK, _LEADER).first()
        except DBAPIError:
            row = None
        return (row.holder, row.address) if row is not None and not row.expired else ("", "")

    def _mine(self, epoch: int) -> dict[str, Any]:
        return {"holder": self._sessions.holder, "epoch": epoch}
