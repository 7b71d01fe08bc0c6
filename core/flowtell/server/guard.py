"""The one ASGI middleware that lets requests in, HTTP and websocket alike, outside everything that is served.

`door` decides who comes in, `exchange` bounds what goes through. A server that only its own machine reaches is open as
long as there are no tokens; the two health paths are open always, and say nothing.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from flowtell.bodies import NESTING, nested_too_deeply
from flowtell.errors import BodyMalformed, BodyRefused, BodyTooLarge
from flowtell.server.door import Door, Pass
from flowtell.server.exchange import Conversation, Exchange
from flowtell.server.head import Head, read_head
from flowtell.server.limits import BODY_BYTES, Limits
from flowtell.server.login import Login
from flowtell.server.refusal import Refusal
from flowtell.server.scopes import INGEST

GRANTED = "flowtell.scopes"
"""Where an application finds, in its ASGI scope, which scopes the request has."""


class Guard:
    """Passes on what may come in, answers the rest itself. Every body, header and address is bounded here."""

    def __init__(self, app: ASGIApp, door: Door, limits: Limits) -> None:
        self._app, self._door, self._limits = app, door, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        head = read_head(scope)
        if isinstance(head, Refusal):
            await _answer(head, scope, receive, send)
            return
        outcome = self._door.admit(head)
        if not isinstance(outcome, Pass):
            await _answer(outcome, scope, receive, send)
        elif head.websocket:
            talk = Conversation(
                receive, send, pause=lambda: self._door.pause(outcome), holds=lambda: self._door.holds(outcome)
            )
            await self._app({**scope, GRANTED: outcome.scopes}, talk.receive, talk.send)
        else:
            await self._pass_on(head, outcome, scope, receive, send)

    async def _pass_on(self, head: Head, passed: Pass, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._limits.ingest_bytes if passed.needed == INGEST else BODY_BYTES
        exchange = Exchange(receive, send, limit=limit, has_body=head.has_body, holds=lambda: self._door.holds(passed))
        try:
            if head.content_length > limit:
                exchange.refused = BodyTooLarge(limit)
            else:
                if head.has_body and passed.needed != INGEST:
                    await _check_nesting(exchange)
                await self._app({**scope, GRANTED: passed.scopes}, exchange.receive, exchange.send)
        except BodyRefused as error:
            exchange.refused = error
        except ClientDisconnect:  # nobody is left to hear of it
            return
        if exchange.refused is not None and not exchange.answered:
            await self._answer_refused(exchange, exchange.refused, scope, receive, send)

    async def _answer_refused(
        self, exchange: Exchange, error: BodyRefused, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await exchange.linger()
        exchange.refused = None  # from here on the answer is ours
        await Refusal(error.status, str(error), code=error.code).answer(scope, receive, exchange.send)


async def _answer(outcome: Refusal | Login, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await outcome.answer(scope, receive, send)
        return
    exchange = Exchange(receive, send, limit=0, has_body=_may_have_body(scope), holds=_always)
    await exchange.linger()
    await outcome.answer(scope, receive, exchange.send)


async def _check_nesting(exchange: Exchange) -> None:
    """Before a decoder that may recurse sees it; routes that bring events in use `bodies.decode_json` themselves."""
    if nested_too_deeply(await exchange.read_whole()):
        raise BodyMalformed(f"JSON is nested deeper than {NESTING}")


def _may_have_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in scope["headers"]
    )


def _always() -> bool:
    return True
