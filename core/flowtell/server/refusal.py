"""An answer that says no: a status and a reason, for HTTP and websocket alike."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

POLICY_VIOLATION: Final = 1008
"""RFC 6455, section 7.4.1."""
_HANDSHAKE: Final = "websocket.http.response"  # an extension of ASGI


class Refusal(NamedTuple):
    """What is answered instead of what was asked for. Never repeats what the client sent."""

    status: int
    problem: str
    headers: tuple[tuple[str, str], ...] = ()
    code: str = ""

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Also of a websocket, where the server can answer its handshake; else that is closed before it is accepted."""
        if scope["type"] == "websocket" and _HANDSHAKE not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        told = {"error": self.problem, **({"code": self.code} if self.code else {})}
        await JSONResponse(told, status_code=self.status, headers=dict(self.headers))(scope, receive, send)


def unauthorized(problem: str) -> Refusal:
    return Refusal(401, problem, (("WWW-Authenticate", "Bearer"),))


def busy(problem: str, headers: tuple[tuple[str, str], ...]) -> Refusal:
    """For clients that come again after 503 and give up at 429."""
    return Refusal(503, problem, headers)


def too_many(problem: str, seconds: float) -> Refusal:
    return Refusal(429, problem, (("Retry-After", str(max(1, math.ceil(seconds)))),))
