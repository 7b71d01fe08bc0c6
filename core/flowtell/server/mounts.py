"""What plugins serve: routed by the longest prefix, their lifespans driven by the server, a failure in one alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from starlette.types import ASGIApp, Message

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0

logger = logging.getLogger("flowtell.server")


def ordered(mounts: Sequence[tuple[str, str, Any]]) -> list[tuple[str, str, Any]]:
    """Longest path first, so that `/` comes last and hides nobody."""
    return sorted(mounts, key=lambda mount: len(mount[1].rstrip("/")), reverse=True)


@asynccontextmanager
async def lifespans(mounts: Sequence[tuple[str, str, Any]]) -> AsyncIterator[None]:
    """All mounted applications started; stopped in reverse, each within its bound."""
    async with AsyncExitStack() as stack:
        for name, _, app in mounts:
            try:
                await stack.enter_async_context(_Lifespan(name, app))
            except Exception:
                logger.exception("what plugin %s serves did not start; the rest goes on without it", name)
        yield


class _Lifespan:
    """Drives one application's lifespan protocol (ASGI specification, lifespan 2.0)."""

    def __init__(self, name: str, app: ASGIApp) -> None:
        self._name, self._app = name, app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._run())
        await self._inbox.put({"type": "lifespan.startup"})
        answer = await asyncio.wait_for(self._outbox.get(), START_SECONDS)
        if answer["type"] == "lifespan.startup.failed":
            raise RuntimeError(answer.get("message", "startup failed"))

    async def __aexit__(self, *_: object) -> None:
        await self._inbox.put({"type": "lifespan.shutdown"})
        try:
            await asyncio.wait_for(self._outbox.get(), STOP_SECONDS)
        except TimeoutError:
            logger.warning("what plugin %s serves did not stop within %g s", self._name, STOP_SECONDS)
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, self._inbox.get, self._outbox.put)
        except Exception as error:
            # an application without lifespan may raise; the specification says to go on without
            logger.debug("plugin %s: no lifespan (%s)", self._name, error)
        finally:
            await self._outbox.put({"type": "lifespan.startup.complete"})
            await self._outbox.put({"type": "lifespan.shutdown.complete"})
