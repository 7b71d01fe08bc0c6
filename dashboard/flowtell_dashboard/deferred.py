"""An ASGI application that is made when a server starts it, on a thread, while the server already answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from flowtell_dashboard.policy import App, Scope, Send


class Deferred:
    """Importing Dash takes a second or two: no command that only reads pays for it, and no server waits.

    `make` is called once, at the server's start or the first request, on a thread; requests wait for it.
    """

    def __init__(self, make: Callable[[], App]) -> None:
        self._make = make
        self._made: asyncio.Future[App] | None = None

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            app = await asyncio.shield(self._start())
            await app(scope, receive, send)

    def _start(self) -> asyncio.Future[App]:
        if self._made is None:
            self._made = asyncio.ensure_future(asyncio.to_thread(self._make))
        return self._made

    async def _live(self, receive: Any, send: Send) -> None:
        """The lifespan protocol. What is made has no use for it: Dash only adds a route that `Pages` replaces."""
        await receive()
        making = self._start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.wait([making], timeout=3.0)
        await send({"type": "lifespan.shutdown.complete"})
