"""One request that was let in, between server and application: its body bounded in bytes and time, its answer hardened,
and both cut off once the token that let it in is revoked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Send

from flowtell.errors import BodyRefused, BodyTooLarge, BodyTooSlow
from flowtell.server.limits import BODY_BYTES_A_SECOND, BODY_SECONDS, LINGER_BYTES, LINGER_SECONDS
from flowtell.server.refusal import POLICY_VIOLATION

_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
)
"""On every answer that does not say otherwise itself; a page of plugins adds its content policy."""
_CLOSE: Final = (b"connection", b"close")


class Exchange:
    """The `receive` and `send` that the application gets.

    Beyond a bound `receive` raises, and the application's own answer to that, an error, is held back for ours: see
    `refused`.
    """

    def __init__(self, receive: Receive, send: Send, *, limit: int, has_body: bool, holds: Callable[[], bool]) -> None:
        self._receive, self._send = receive, send
        self._limit, self._holds = limit, holds
        self._complete = not has_body
        self._whole: bytes | None = None
        self._came = 0
        self._began = time.monotonic()
        self._cut_off = self._endless = False
        self.answered = False
        self.refused: BodyRefused | None = None

    # --- in -------------------------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        if self._whole is not None:
            body, self._whole = self._whole, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._cut_off:
            return {"type": "http.disconnect"}
        if self._complete:  # what comes now is the disconnection
            return await self._receive()
        try:
            return await self._part()
        except BodyRefused as error:
            self.refused = error
            raise

    async def _part(self) -> Message:
        allowed = BODY_SECONDS + self._came / BODY_BYTES_A_SECOND
        try:
            async with asyncio.timeout(self._began + allowed - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            raise BodyTooSlow(allowed) from None
        self._came += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._came > self._limit:
            raise BodyTooLarge(self._limit)
        return message

    async def read_whole(self) -> bytes:
        """The body at once; the application gets it all the same.

        Raises:
            BodyTooLarge, BodyTooSlow
            ClientDisconnect: it broke off.
        """
        parts = []
        while not self._complete:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
        whole = b"".join(parts)
        self._whole = whole
        return whole

    async def linger(self) -> bool:
        """Read on, within bounds, what nobody wants, before it is answered. Whether that was all of it.

        Closing a connection with something unread resets it, and the client may never see its answer.
        """
        came = 0
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                while not self._complete and came < LINGER_BYTES:
                    message = await self._receive()
                    came += len(message.get("body", b""))
                    self._complete = not message.get("more_body", False)
        except TimeoutError:
            pass
        return self._complete

    # --- out ------------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        if self._cut_off or (self.refused is not None and not self.answered):
            return
        if message["type"] == "http.response.start":
            self.answered = True
            message = {**message, "headers": self._hardened(message.get("headers", ()))}
        elif self._endless and not self._holds():  # a stream whose token was revoked ends as if it were over
            self._cut_off = True
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    def _hardened(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        given = {name.lower() for name, _ in headers}
        self._endless = b"content-length" not in given
        added = [header for header in _HEADERS if header[0] not in given]
        if not self._complete:  # nobody will read the rest
            added.append(_CLOSE)
        return [*headers, *added]


class Conversation:
    """The `receive` and `send` of a websocket: its messages have the rate of requests."""

    def __init__(self, receive: Receive, send: Send, *, pause: Callable[[], float], holds: Callable[[], bool]) -> None:
        self._receive, self._send = receive, send
        self._pause, self._holds = pause, holds
        self._cut_off = False

    async def receive(self) -> Message:
        if self._cut_off:
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        message = await self._receive()
        if message["type"] == "websocket.receive":
            await self._take_turn()
            if not self._holds():
                await self._end()
                return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
        return message

    async def send(self, message: Message) -> None:
        if self._cut_off:
            return
        if self._holds() or message["type"] != "websocket.send":
            await self._send(message)
        else:
            await self._end()

    async def _take_turn(self) -> None:
        """A message too many waits; meanwhile nothing more is read."""
        seconds = self._pause()
        while seconds > 0:
            await asyncio.sleep(seconds)
            seconds = self._pause()

    async def _end(self) -> None:
        if not self._cut_off:
            self._cut_off = True
            await self._send({"type": "websocket.close", "code": POLICY_VIOLATION})
