"""`/api/wants/ask`: whoever serves elsewhere asks which runs are wanted, and says what became of those it was told of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowtell.bodies import decode_json, read_body
from flowtell.errors import BodyMalformed, BodyRefused
from flowtell.ids import is_id
from flowtell.server.limits import BODY_BYTES
from flowtell.server.service import Service
from flowtell.wanted_runs import PATH, Asking, Brought, Wants

_MOST: Final = 10_000


def want_routes(service: Service) -> list[Route]:
    return [Route(PATH, _asking(service), methods=["POST"])]


def _asking(service: Service) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if not service.leading:
            told = {"error": "this server is on standby; the leader has what is wanted"}
            return JSONResponse(told, status_code=503, headers={"Retry-After": "2"})
        try:
            asking = decode_json(await read_body(request, BODY_BYTES), Asking)
            if len(asking.deployments) > _MOST or not all(is_id(said.run) for said in asking.said):
                raise BodyMalformed("it asks of too many deployments, or a run in it is no id")
        except BodyRefused as error:
            return JSONResponse({"error": str(error), "code": error.code}, status_code=error.status)
        brought = await asyncio.to_thread(_brought, service.config.home, asking)
        return Response(msgspec.json.encode(brought), media_type="application/json")

    return answer


def _brought(home: str, asking: Asking) -> Brought:
    """What is wanted and has no word. A word on what is not wanted any more is passed over."""
    for said in asking.said:
        wants = Wants(home, asking.environment, said.deployment)
        if wants.is_asked(said.run):
            wants.say(said.run, said.word)
    found = [(name, want) for name in asking.deployments for want in Wants(home, asking.environment, name).asked()]
    return Brought(wanted=tuple(found))
