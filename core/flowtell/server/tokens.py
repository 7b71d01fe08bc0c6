"""The tokens that hold now, in memory: a thread reads the store once a second, so that a request waits for nothing."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from flowtell.server.scopes import EVERYTHING, granted
from flowtell.store.store import Store
from flowtell.store.tokens import Token, digest, is_made, make_table, note_used, tokens_by_digest

REFRESH_SECONDS: Final = 1.0
STALE_SECONDS: Final = 30.0
"""Without the store for so long nobody is let in by a token of it: it may have been revoked."""
_NOTE_SECONDS: Final = 60.0

CONFIGURED: Final = "configured"
"""Stands for the id of `server.token`."""

logger = logging.getLogger("flowtell.server")


class TokenBook:
    """Thread-safe: what is read is replaced whole.

    Args:
        store: gives the store where tokens are kept; written only for when they were used, once a minute.
        configured: `server.token`, which may do everything; empty for none.
        clock: now, in µs.
    """

    def __init__(self, store: Callable[[], Store], configured: str, clock: Callable[[], int]) -> None:
        self._store, self._clock = store, clock
        self._configured = configured.encode()
        self.configured_is_weak = bool(configured) and not is_made(configured)
        """Whether somebody chose it, so that it might be guessed."""
        self._tokens: dict[str, Token] = {}
        self._ids: dict[str, Token] = {}
        self._read_at = -STALE_SECONDS
        self._used: dict[str, int] = {}
        self._noted_at = time.monotonic()
        self._problem = ""

    # --- what requests ask ----------------------------------------------------------------------------------------

    @property
    def exist(self) -> bool:
        """Whether there are or were tokens. One that expires or is revoked opens nothing."""
        return bool(self._configured or self._tokens)

    @property
    def stale(self) -> bool:
        """Whether the store has not been read for so long that nobody knows what holds."""
        return time.monotonic() - self._read_at > STALE_SECONDS

    def find(self, text: str) -> Token | None:
        """The token of the store that a request brought, if it is valid."""
        given = digest(text)
        token = self._tokens.get(given)
        if token is None or token.state(self._clock()) != "valid":
            return None
        self._used[token.id] = self._clock()
        return token

    def is_configured(self, text: str) -> bool:
        """Whether it is `server.token`; takes the same time whatever is compared."""
        return bool(self._configured) and hmac.compare_digest(text.encode("utf-8", "surrogateescape"), self._configured)

    def holds(self, id: str) -> bool:
        """Whether a token that was let in once would be let in now."""
        token = self._ids.get(id)
        return id == CONFIGURED or (token is not None and token.state(self._clock()) == "valid")

    def scopes(self, token: Token | None) -> frozenset[str]:
        return EVERYTHING if token is None else granted(token.scopes)

    # --- the thread -----------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Make the table where it is missing, and read it."""
        make_table(self._store())
        self.refresh()

    def run(self, stop: threading.Event) -> None:
        """Follow the store until `stop` is set."""
        while not stop.wait(REFRESH_SECONDS):
            try:
                self.refresh()
                if time.monotonic() - self._noted_at > _NOTE_SECONDS:
                    self.note()
                self._problem = ""
            except Exception as error:  # noqa: BLE001  # the store's: what was read last holds for a while
                self._complain(error)

    def refresh(self) -> None:
        began = time.monotonic()
        tokens = tokens_by_digest(self._store())
        self._tokens, self._ids = tokens, {token.id: token for token in tokens.values()}
        self._read_at = began

    def note(self) -> None:
        """Write when tokens were used."""
        used, self._used = self._used, {}
        self._noted_at = time.monotonic()
        if used:
            note_used(self._store(), dict(used))  # a request may be writing into it still

    def _complain(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"[:500]
        if text != self._problem:
            logger.error("tokens cannot be read; those of the last reading hold for %g s", STALE_SECONDS, exc_info=error)
        self._problem = text
