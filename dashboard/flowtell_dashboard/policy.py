"""What every answer of the pages is wrapped in: which addresses are pages, and what a browser may do on them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, Final

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Any, Send], Awaitable[None]]

PAGES: Final = re.compile(r"/|/runs/?|/runs/[^/]{1,200}/?")
"""Addresses that are pages. Each is the same document; the page reads the address and shows what it names."""

_DASH: Final = ("/_dash", "/_favicon.ico", "/_reload-hash", "/assets/")


class Pages:
    """Serves Dash's document at every address of a page, and with 404 at any other. Passes lifespan and websocket on.

    Dash's own catch-all answers 200 to anything, and is missing until its lifespan ran.
    """

    def __init__(self, app: App, script_hashes: Sequence[str]) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in _headers(script_hashes).items()]

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        document = not scope["path"].startswith(_DASH)
        found = not document or PAGES.fullmatch(scope["path"]) is not None
        if document:
            scope = {**scope, "path": "/", "raw_path": b"/"}
        await self._app(scope, receive, self._sender(send, document, found))

    def _sender(self, send: Send, document: bool, found: bool) -> Send:
        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                own = [(b"cache-control", b"no-cache")] if document else []
                message = {**message, "headers": [*message["headers"], *self._headers, *own]}
                if not found and message["status"] == 200:
                    message["status"] = 404
            await send(message)

        return with_headers


def _headers(script_hashes: Sequence[str]) -> dict[str, str]:
    return {
        "content-security-policy": content_security_policy(script_hashes),
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
    }


def content_security_policy(script_hashes: Sequence[str]) -> str:
    """Nothing from elsewhere, nothing evaluated.

    Mantine and AG Grid write style elements, hence inline styles; icons are data URLs; Dash's websocket lives in a
    worker of the origin.
    """
    scripts = " ".join(("'self'", *script_hashes))
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src {scripts}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self'",
            "object-src 'none'",
            "base-uri 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
