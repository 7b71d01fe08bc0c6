"""What every answer of the pages is wrapped in: which addresses are pages, and what a browser may do on them."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Any, Send], Awaitable[None]]

PAGES: Final = re.compile(
    r"/|/(timeline|flows|flow|assets|asset|compare|alerts|health)/?|/runs/?|/(runs|incidents)/[^/]{1,200}/?"
)
"""Addresses that are pages. Each is the same document; the page reads the address and shows what it names."""

_LOGGER: Final = logging.getLogger("flowtell.plugin.dashboard")
_POLICY_VIOLATION: Final = 1008  # RFC 6455, section 7.4.1
_NO_SUCH_REQUEST: Final = b'{"error":"no page sends such a request"}'

_POLICY: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "worker-src 'self'; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing from elsewhere, nothing evaluated, no script in the document.

Mantine and AG Grid write style elements, hence inline styles; icons are data URLs; Dash's websocket lives in a worker of
the origin.
"""

_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

_BEHIND: Final = ("/_dash", "/_favicon.ico", "/_reload-hash", "/assets/", "/_timeline/", "/_may", "/_find")
"""Beginnings of addresses that pages ask behind the reader's back."""

_FILE: Final = re.compile(r"/runs/[^/]{1,200}/export\.html")
"""What is fetched to be kept, and is no page."""


class Pages:
    """Serves Dash's document at every address of a page, and with 404 at any other. Passes lifespan and websocket on.

    Dash's own catch-all answers 200 to anything, and is missing until its lifespan ran.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._talk(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"].startswith(_BEHIND) or _FILE.fullmatch(scope["path"]):
            await self._serve_dash(scope, receive, self._sender(send, document=False, found=True))
            return
        found = PAGES.fullmatch(scope["path"]) is not None
        scope = {**scope, "path": "/", "raw_path": b"/"}
        await self._app(scope, receive, self._sender(send, document=True, found=found))

    async def _talk(self, scope: Scope, receive: Any, send: Send) -> None:
        """A page's websocket, which a message that no page sends ends: Dash raises at the first."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  # Dash's, over what it was sent
            _LOGGER.warning("a page's connection ended over a message: %.200r", error)
            with contextlib.suppress(Exception):  # it may be closed already
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    async def _serve_dash(self, scope: Scope, receive: Any, send: Send) -> None:
        """What Dash's own addresses answer, with 400 where it raised.

        A callback's failure is told on the page. What is left is a request that none of our pages sends, and Dash takes
        apart unchecked: no JSON, no such callback, no such component.
        """
        unreadable = _Unreadable(send)
        try:
            await self._app(scope, receive, unreadable.send)
        except Exception as error:
            if not unreadable.answered:
                raise
            _LOGGER.warning("a request to %.100r could not be read: %s", scope["path"], type(error).__name__)

    def _sender(self, send: Send, *, document: bool, found: bool) -> Send:
        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = [(b"cache-control", b"no-cache")] if document else []
                message = {**message, "headers": [*message["headers"], *self._headers, *own]}
                if not found and message["status"] == 200:
                    message["status"] = 404
            await send(message)

        return with_headers


class _Unreadable:
    """Turns an answer of 500 into one of 400, whose body is ours."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.answered = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self.answered:
            return
        if message["type"] != "http.response.start" or message["status"] != 500:
            await self._send(message)
            return
        self.answered = True
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_NO_SUCH_REQUEST))]
        await self._send({"type": "http.response.start", "status": 400, "headers": headers})
        await self._send({"type": "http.response.body", "body": _NO_SUCH_REQUEST})
