"""What plugins serve: found by the longest prefix, their lifespans driven by the server, a failure in one alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0

logger = logging.getLogger("flowtell.server")


class Mounts:
    """The applications of all plugins by path. A plugin that is made anew replaces its own; `set` is for any thread."""

    def __init__(self) -> None:
        self._served: dict[str, _Served] = {}

    def set(self, plugin: str, path: str, app: ASGIApp) -> None:
        served = self._served.get(path)
        if served is not None and served.plugin != plugin:
            logger.warning("plugin %s: %s is served by plugin %s already", plugin, path, served.plugin)
            return
        self._served[path] = _Served(plugin, app)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([(served.plugin, path) for path, served in self._served.items()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request to whoever serves the longest prefix of its path; `/` comes last, so it hides nobody."""
        await self._serve(sorted(self._served, key=len, reverse=True), scope, receive, send)

    async def below_root(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same without `/`: for paths where a page must not answer in an API's stead."""
        await self._serve(
            sorted((path for path in self._served if path != "/"), key=len, reverse=True), scope, receive, send
        )

    async def _serve(self, paths: list[str], scope: Scope, receive: Receive, send: Send) -> None:
        for path in paths:
            prefix = path.rstrip("/")
            if scope["path"] == prefix or scope["path"].startswith(f"{prefix}/"):
                await self._served[path]({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, send)
                return
        await _not_found(scope, receive, send)

    @asynccontextmanager
    async def lifespans(self) -> AsyncIterator[None]:
        """All that is mounted now is started; what is mounted later starts at its first request. Stopped at the end."""
        for served in list(self._served.values()):
            await served.start()
        yield
        for served in list(self._served.values()):
            await served.stop()


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    else:
        await JSONResponse({"error": f"nothing is served at {scope['path']}"}, status_code=404)(scope, receive, send)


class _Served:
    """One application and its lifespan (ASGI specification, lifespan protocol 2.0)."""

    def __init__(self, plugin: str, app: ASGIApp) -> None:
        self.plugin, self._app = plugin, app
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._task is None:
            await self.start()
        await self._app(scope, receive, send)

    async def start(self) -> None:
        """Within its bound; what does not start is served all the same, and said."""
        self._task = asyncio.create_task(self._run())
        await self._inbox.put({"type": "lifespan.startup"})
        try:
            answer = await asyncio.wait_for(self._outbox.get(), START_SECONDS)
        except TimeoutError:
            logger.warning("what plugin %s serves did not start within %g s", self.plugin, START_SECONDS)
            return
        if answer["type"] == "lifespan.startup.failed":
            logger.warning("what plugin %s serves did not start: %s", self.plugin, answer.get("message", ""))

    async def stop(self) -> None:
        if self._task is None:
            return
        await self._inbox.put({"type": "lifespan.shutdown"})
        try:
            await asyncio.wait_for(self._outbox.get(), STOP_SECONDS)
        except TimeoutError:
            logger.warning("what plugin %s serves did not stop within %g s", self.plugin, STOP_SECONDS)
        self._task.cancel()

    async def _run(self) -> None:
        scope: dict[str, Any] = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
        try:
            await self._app(scope, self._inbox.get, self._outbox.put)
        except Exception as error:  # noqa: BLE001  # a plugin's code
            # an application without lifespan may raise; the specification says to go on without
            logger.debug("plugin %s: no lifespan (%s)", self.plugin, error)
        finally:
            await self._outbox.put({"type": "lifespan.startup.complete"})
            await self._outbox.put({"type": "lifespan.shutdown.complete"})
