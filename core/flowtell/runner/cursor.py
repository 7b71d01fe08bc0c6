"""How far in the log a plugin has got, and the events that it could not take."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select

from flowtell.store.statements import insert_for
from flowtell.store.store import Store, Transaction
from flowtell.store.tables import cursors, dead_events


class Cursor:
    """`seq` is where the plugin stands, `saved` what the store knows of it."""

    def __init__(self, plugin: str, store: Store) -> None:
        self._plugin, self._store = plugin, store
        self.seq: int = 0
        self.saved: int = 0
        self.emitted: int = 0
        """Events that the plugin has put into the log: its `n`."""
        self.dead: int = 0
        """Events set aside."""

    def load(self) -> None:
        rows = self._store.read(select(cursors).where(cursors.c.plugin == self._plugin))
        self.seq = self.saved = rows[0].seq if rows else 0
        self.emitted = rows[0].emitted if rows else 0
        dead = select(func.count()).select_from(dead_events).where(dead_events.c.plugin == self._plugin)
        self.dead = int(self._store.read(dead)[0][0])

    def start_at(self, seq: int) -> None:
        """Stand somewhere else than the store says."""
        self.seq = self.saved = seq

    def is_current(self) -> bool:
        """Whether the store still has what was saved here last."""
        rows = self._store.read(select(cursors.c.seq).where(cursors.c.plugin == self._plugin))
        return self.saved == (rows[0].seq if rows else 0)

    def save(self, transaction: Transaction, seq: int, now: int) -> None:
        """Part of the caller's transaction; `seq` and `saved` move once that is committed."""
        self._upsert(transaction, cursors, {"plugin": self._plugin}, {"seq": seq, "emitted": self.emitted, "moved": now})

    def set_aside(self, seq: int, attempts: int, error: str, now: int) -> None:
        """Note an event that was failed on too often, and go past it."""
        row = {"at": now, "attempts": attempts, "error": error[:2000]}
        with self._store.write() as transaction:
            self._upsert(transaction, dead_events, {"plugin": self._plugin, "seq": seq}, row)
            self.save(transaction, seq, now)
        self.seq = self.saved = seq
        self.dead += 1

    def revive(self, transaction: Transaction, seq: int) -> None:
        """An event that was set aside has been taken after all. Part of the caller's transaction."""
        mine = (dead_events.c.plugin == self._plugin) & (dead_events.c.seq == seq)
        transaction.connection.execute(delete(dead_events).where(mine))

    def _upsert(self, transaction: Transaction, table: Any, key: dict[str, Any], values: dict[str, Any]) -> None:
        statement = insert_for(transaction.connection.dialect, table).values(**key, **values)
        transaction.connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))
