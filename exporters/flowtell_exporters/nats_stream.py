"""A stream of NATS JetStream, for one thread that knows no event loop: the loop runs on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from typing import Any, Final, TypeVar

import nats
import nats.errors
import nats.js
import nats.js.errors
from nats.aio.client import Client
from nats.js.api import StreamConfig

Message = tuple[str, bytes, str]
"""Subject, body, id."""

T = TypeVar("T")

_WINDOW: Final = 120.0
"""Seconds in which the stream knows an id again."""
_AT_ONCE: Final = 500
"""Messages on their way and not acknowledged."""


class Stream:
    """Connects at the first message, and anew after a connection is lost."""

    def __init__(self, servers: Sequence[str], name: str, subjects: str, *, credentials: str, timeout: float) -> None:
        self._servers, self._name, self._subjects = list(servers), name, subjects
        self._credentials, self._timeout = credentials or None, timeout
        self._client: Client | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="flowtell-nats", daemon=True)
        self._thread.start()

    def publish(self, messages: Sequence[Message]) -> str:
        """Wait until all are acknowledged; what went wrong, or nothing."""
        try:
            self._wait(self._publish(messages), self._timeout)
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as error:
            self._wait_quietly(self._drop())
            return f"{type(error).__name__}: {error}"[:300]
        return ""

    async def _publish(self, messages: Sequence[Message]) -> None:
        context = (await self._connected()).jetstream(timeout=self._timeout)
        for start in range(0, len(messages), _AT_ONCE):
            part = messages[start : start + _AT_ONCE]
            await asyncio.gather(
                *(context.publish(subject, body, headers={"Nats-Msg-Id": key}) for subject, body, key in part)
            )

    async def _connected(self) -> Client:
        if self._client is None or not self._client.is_connected:
            await self._drop()
            self._client = await nats.connect(
                self._servers,
                name="flowtell",
                allow_reconnect=False,  # the plugin's runner comes again, and knows what was not acknowledged
                connect_timeout=max(1, int(self._timeout / 2)),
                user_credentials=self._credentials,
                error_cb=_hear_nothing,
            )
            await self._have_stream(self._client)
        return self._client

    async def _have_stream(self, client: Client) -> None:
        manager = client.jetstream(timeout=self._timeout)
        try:
            await manager.stream_info(self._name)
        except nats.js.errors.NotFoundError:
            wanted = StreamConfig(name=self._name, subjects=[self._subjects], duplicate_window=_WINDOW)
            await manager.add_stream(wanted)

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def close(self, timeout: float) -> None:
        """Let the connection go and the thread end, within `timeout` seconds."""
        self._wait_quietly(self._drop(), timeout / 2)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout / 2)
        if not self._thread.is_alive():
            self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        waited = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, timeout), self._loop)
        return waited.result(timeout + 1.0)

    def _wait_quietly(self, work: Coroutine[Any, Any, None], timeout: float = 2.0) -> None:
        try:
            self._wait(work, timeout)
        except (nats.errors.Error, OSError, TimeoutError):
            pass


async def _hear_nothing(_: Exception) -> None:
    """What fails is raised where it was asked for; the library would print it besides."""
