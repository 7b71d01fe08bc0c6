"""A page's own line to the server: it says what it looks at, and gets the picture's bytes whenever the log has moved.

Past Dash, whose way to a page costs the browser more than the picture does. A message of the page is JSON, `{"number": 7,
"after": 1204, "asked": {...}}`, with the parameters of `/_timeline/blocks` and the `seq` of what it has; each answer is that
number (4 bytes, little-endian) and the bytes that `/_timeline/blocks` would answer. The newest message counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from fastapi import WebSocket, WebSocketDisconnect

from flowtell.decoders import decoder
from flowtell_dashboard.answers import Answers
from flowtell_dashboard.timeline.question import Question

_LOGGER: Final = logging.getLogger("flowtell.plugin.dashboard")
_GOING_AWAY: Final = 1001  # RFC 6455, section 7.4.1
_BROKEN: Final = 1011
_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.2
"""How often a page is told of news: a page's update costs the browser about 15 ms of a processor without a GPU."""
_LONGEST: Final = 16_384


class _Message(msgspec.Struct, frozen=True):
    asked: dict[str, str]
    number: int = 0
    after: int = -1


_decode: Final = decoder(_Message)


class Live:
    """One open page, for as long as it is. For one event loop."""

    def __init__(self, socket: WebSocket, answers: Answers, draw: Callable[[Question], Awaitable[bytes]]) -> None:
        self._socket, self._answers, self._draw = socket, answers, draw

    async def run(self) -> None:
        """Listen until the page goes. Raises ValueError over a message that no page sends."""
        await self._socket.accept()
        telling: asyncio.Task[None] | None = None
        try:
            while True:
                message = await self._socket.receive_text()
                if telling is not None:
                    telling.cancel()
                telling = asyncio.create_task(self._tell(*_read(message)))
        except WebSocketDisconnect:
            pass
        finally:
            if telling is not None:
                telling.cancel()

    async def _tell(self, number: int, seq: int, question: Question) -> None:
        """Tell the news beyond `seq`. Where there can be none, or they cannot be told, end the line: the page comes back."""
        code = _GOING_AWAY
        try:
            while not self._answers.ended:
                if await self._answers.beyond(seq, _WAIT_SECONDS) > seq:
                    await _rest()
                    seq = self._answers.seq
                    await self._socket.send_bytes(number.to_bytes(4, "little") + await self._draw(question))
        except WebSocketDisconnect:
            return
        except Exception:
            _LOGGER.exception("a timeline could not be drawn for an open page")
            code = _BROKEN
        await self._socket.close(code)


async def _rest() -> None:
    """Until the next of the moments at which all pages look up, so that they share one answer."""
    await asyncio.sleep(_LOOK_SECONDS - time.monotonic() % _LOOK_SECONDS)


def _read(message: str) -> tuple[int, int, Question]:
    if len(message) > _LONGEST:
        raise ValueError("a question of this length was not made by a page")
    said = _decode(message)
    return said.number % 2**32, said.after, Question.of(said.asked)
