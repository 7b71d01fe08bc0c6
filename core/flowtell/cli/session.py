"""What every reading command begins with: the log caught up, the store open to read, and a place for the answer.

Public: the commands of other distributions use it as ours do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.output import Output
from flowtell.config import Config, load

if TYPE_CHECKING:
    from sqlalchemy import Row

    from flowtell.store.store import Store


class Session(Output):
    """An `Output` with the configuration and the store beside it."""

    def __init__(self, config: Config, store: Store, *, json: bool = False) -> None:
        super().__init__(json=json)
        self.config, self.store = config, store

    def read(self, statement: Any) -> Sequence[Row[Any]]:
        """All rows of a SELECT, as the functions of `flowtell.store.reading` want it."""
        return self.store.read(statement)

    def catch_up(self) -> None:
        """Bring the log up to what the journals hold now, within two seconds, or say how far behind it is."""
        behind = _catch_up(self.config)
        if behind:
            self.say(behind)


@contextmanager
def open_session(*, json: bool = False) -> Iterator[Session]:
    """A session on the configured store, with all that was written before the call in it.

    Args:
        json: whether the user asked for JSON.
    """
    from flowtell.store import open_store

    log_to_stderr()
    config = load()
    behind = _catch_up(config)
    store = open_store(config.store_url, read_only=True)
    try:
        session = Session(config, store, json=json)
        if behind:
            session.say(behind)
        yield session
    finally:
        store.close()


def _catch_up(config: Config) -> str:
    from flowtell.server.catch_up import catch_up

    return catch_up(config).message


__all__ = ["Session", "open_session"]
