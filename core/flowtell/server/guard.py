"""The one ASGI middleware that lets requests in, HTTP and websocket alike, outside everything that is served.

Loopback needs no token. The two health paths are open, and say nothing. A page sends the token as a cookie, which
`/?token=…` sets once; programs send `Authorization: Bearer …`.
"""

from __future__ import annotations

import hmac
from http.cookies import SimpleCookie
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
COOKIE: Final = "flowtell_token"
BODY_LIMIT: Final = 32 << 20
LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is one that only this machine reaches."""
    if host in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Refuses with 401 or closes the websocket; bounds bodies; on loopback checks `Host` and `Origin`."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
        elif not self._token and not _known_host(scope):
            await _refuse(
                scope, receive, send, 421, "this server answers to localhost only; set a token to use another name"
            )
        elif not self._token and not _known_origin(scope):
            await _refuse(scope, receive, send, 403, "a page of another site may not use this server")
        elif self._token and not self._has_token(scope):
            await self._ask(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = _Body(receive, send)
        try:
            await self._app(scope, body.receive, body.send)
        except _TooLarge:
            pass
        if body.too_large and not body.answered:
            await _refuse(scope, receive, send, 413, f"a body is at most {BODY_LIMIT >> 20} MiB")

    def _has_token(self, scope: Scope) -> bool:
        headers = _headers(scope)
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        return any(
            hmac.compare_digest(one.encode(), self._token.encode()) for one in (given, cookie.value if cookie else "") if one
        )

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Turn `?token=` into a cookie, else refuse."""
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if scope["type"] == "http" and given and hmac.compare_digest(given.encode(), self._token.encode()):
            response = RedirectResponse(scope["path"], status_code=303)
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", secure=scope.get("scheme") == "https")
            await response(scope, receive, send)
        else:
            await _refuse(
                scope,
                receive,
                send,
                401,
                "a token is needed: 'Authorization: Bearer …', or open /?token=… once in a browser",
            )


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers", [])}


def _known_host(scope: Scope) -> bool:
    host = _headers(scope).get("host", "localhost")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return is_loopback(name.strip("[]"))


def _known_origin(scope: Scope) -> bool:
    """Whether no page of a stranger asks: a browser lets any page open websockets and post forms to localhost."""
    origin = _headers(scope).get("origin")
    try:
        return origin is None or is_loopback(urlsplit(origin).hostname or "")
    except ValueError:  # no address at all
        return False


class _Body:
    """Counts what comes in. Beyond the bound the application's own answer, an error, is held back for ours."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._taken = 0
        self.too_large = self.answered = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > BODY_LIMIT:
            self.too_large = True
            raise _TooLarge
        return message

    async def send(self, message: Message) -> None:
        if self.too_large and not self.answered:
            return
        self.answered = True
        await self._send(message)


class _TooLarge(Exception):
    """The body is longer than any that we take."""


async def _refuse(scope: Scope, receive: Receive, send: Send, status: int, problem: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers: dict[str, Any] = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    await JSONResponse({"error": problem}, status_code=status, headers=headers)(scope, receive, send)
