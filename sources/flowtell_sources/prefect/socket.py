"""Prefect's event websocket, `/api/events/out`: what happens there, moments after it did."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from flowtell.errors import SourceUnavailable
from flowtell_sources.prefect.documents import Message, read_document
from flowtell_sources.prefect.identity import iso
from flowtell_sources.prefect.settings import Settings

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

BACKFILL: Final = 14 * 60_000_000
"""µs that the server looks back for a new subscriber: fifteen minutes, and one for clocks that differ."""

MOST_HELD: Final = 256
"""Messages that the server holds for a subscriber; it drops what comes beyond them (its `SUBSCRIPTION_BACKLOG`)."""

UNHEARD: Final = ("prefect.task-run.Pending", "prefect.flow-run.heartbeat", "prefect.artifact-collection.created")
"""Messages that are not asked for, as each costs the server a quarter of a millisecond: a quarter of all that a flow
makes, of which nothing is counted. Task runs that stay pending are read with the rest."""

_FOREVER: Final = 10 * 365 * 86_400_000_000
_AHEAD: Final = 20_000
"""Messages held here while others are being handled; beyond that the server holds what it does."""
_PING_SECONDS: Final = 20.0
_MOST_BYTES: Final = 16_000_000
_TOGETHER_SECONDS: Final = 0.1

_TOLD_LATE: Final = 5_000_000
"""µs from a change to its message, at the most, on a server that answers at once: it goes through a few queues there."""
_QUEUES: Final = 5
"""How many times as long as a ping's answer a message takes on a server that is slow."""


class _Probe(NamedTuple):
    sent: int
    """µs by their clock."""
    answer: threading.Event


class EventSocket:
    """One connection. A thread of the library's reads it, so that a slow moment here makes the server drop nothing."""

    def __init__(self, settings: Settings, since: int) -> None:
        """Connect, say who we are, and ask for the events from `since` on, in µs by their clock.

        Raises:
            SourceUnavailable: there is no such socket, or it does not take the key.
        """
        self._url = f"ws{settings.api_url.rstrip('/').removeprefix('http')}/events/out"
        self.malformed: int = 0
        """Frames that were no event."""
        self.told_until: int = 0
        """µs by their clock: what happened there before is taken, as far as the server told us. Moves by `probe`."""
        self._probe: _Probe | None = None
        self._drained = False
        self._held = ExitStack()
        self._connection = _connect(self._held, self._url, settings)
        try:
            self._subscribe(settings, since)
        except BaseException:
            self.close()
            raise

    def _subscribe(self, settings: Settings, since: int) -> None:
        from websockets.exceptions import WebSocketException

        occurred = {"since": iso(since), "until": iso(since + _FOREVER)}
        wanted = {"occurred": occurred, "event": {"exclude_name": UNHEARD}, "order": "ASC"}
        try:
            self._send({"type": "auth", "token": settings.api_key or settings.auth_string or None})
            answer = msgspec.json.decode(self._connection.recv(settings.timeout_seconds))
            if not isinstance(answer, dict) or answer.get("type") != "auth_success":
                raise SourceUnavailable(f"{self._url} does not accept the key or auth string")
            self._send({"type": "filter", "filter": wanted})
        except (WebSocketException, OSError, TimeoutError, msgspec.DecodeError) as error:
            raise SourceUnavailable(f"{self._url}: {_words(error)}; are key or auth string right?") from error

    def _send(self, value: dict[str, Any]) -> None:
        self._connection.send(msgspec.json.encode(value).decode())

    def probe(self, now: int) -> None:
        """Send a ping, unless one is on its way: when it is answered and all before it is taken, `told_until` moves.

        That nothing comes proves nothing: a server that hangs is silent, too.

        Args:
            now: µs by their clock.

        Raises:
            SourceUnavailable: the connection is gone.
        """
        if self._probe is None:
            self._probe = _Probe(now, self._ping())

    def _ping(self) -> threading.Event:
        from websockets.exceptions import WebSocketException

        try:
            return self._connection.ping()
        except (WebSocketException, OSError) as error:
            raise SourceUnavailable(f"{self._url}: {_words(error)}") from error

    def receive(self, timeout: float, most: int = 500) -> list[Message]:
        """What came: waits up to `timeout` seconds for the first, then takes what is there or comes at once.

        Raises:
            SourceUnavailable: the connection is gone.
        """
        answered = self._probe if self._probe is not None and self._probe.answer.is_set() else None
        self._drained = False
        messages = list(self._receive(timeout, most))
        if answered is not None and self._drained:
            self.told_until = answered.sent - max(_TOLD_LATE, int(self._connection.latency * _QUEUES * 1e6))
            self._probe = None
        return messages

    def _receive(self, timeout: float, most: int) -> Iterator[Message]:
        from websockets.exceptions import WebSocketException

        until = time.monotonic() + timeout
        for _ in range(most):
            try:
                frame = self._connection.recv(max(until - time.monotonic(), 0.0))
            except TimeoutError:
                self._drained = True
                return
            except (WebSocketException, OSError) as error:
                raise SourceUnavailable(f"{self._url}: {_words(error)}") from error
            message = self._read(frame)
            if message is not None:
                yield message
            until = min(until, time.monotonic() + _TOGETHER_SECONDS)

    def _read(self, frame: str | bytes) -> Message | None:
        try:
            value = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeError):
            value = None
        message = read_document(value.get("event"), Message) if isinstance(value, dict) else None
        self.malformed += message is None
        return message

    def close(self) -> None:
        self._held.close()


def _connect(held: ExitStack, url: str, settings: Settings) -> ClientConnection:
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect
    from websockets.typing import Subprotocol

    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    try:
        connection = connect(
            url,
            subprotocols=[Subprotocol("prefect")],
            additional_headers=headers,
            open_timeout=settings.timeout_seconds,
            close_timeout=1.0,
            ping_interval=_PING_SECONDS,
            ping_timeout=_PING_SECONDS,
            compression=None,  # which would be the server's work, message by message
            max_size=_MOST_BYTES,
            max_queue=_AHEAD,
        )
        return held.enter_context(connection)
    except (WebSocketException, OSError, TimeoutError) as error:
        raise SourceUnavailable(f"{url}: {_words(error)}") from error


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
