"""`/api/limits`: how limits stand and who holds them; and where processes elsewhere ask for them and give them back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowtell.bodies import decode_json, read_body
from flowtell.errors import BadLimit, BodyMalformed, BodyRefused
from flowtell.ids import is_id
from flowtell.limits.remote import ASK, PATH, Asking, Told
from flowtell.server.limit_keeper import LimitKeeper
from flowtell.server.limits import BODY_BYTES
from flowtell.server.service import Service

_MOST: Final = 1_000
"""Requests in one question, and tickets in one word of leaving."""

logger = logging.getLogger("flowtell.server")


class Setting(msgspec.Struct, frozen=True):
    """The body of what states a limit; without a number it is taken back."""

    name: str
    limit: int | None = None


_Endpoint = Callable[[LimitKeeper, Request], Awaitable[Response]]


def limit_routes(service: Service) -> list[Route]:
    """All routes of limits, over one service."""
    return [
        Route(PATH, _answering(service, _look), methods=["GET"]),
        Route(PATH, _answering(service, _set), methods=["POST"]),
        Route(ASK, _answering(service, _ask), methods=["POST"]),
    ]


def _answering(service: Service, endpoint: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if service.limits is None:
            return _problem(503, "this server is on standby; the leader keeps limits", retry=True)
        try:
            return await endpoint(service.limits, request)
        except BadLimit as error:
            return _problem(400, str(error), error.code)
        except BodyRefused as error:
            return _problem(error.status, str(error), error.code)
        except OSError as error:
            logger.exception("limits cannot be kept")
            return _problem(503, f"the server cannot write: {error.strerror or error}", retry=True)

    return answer


def _problem(status: int, message: str, code: str = "", *, retry: bool = False) -> Response:
    headers = {"Retry-After": "2"} if retry else {}
    return JSONResponse({"error": message, **({"code": code} if code else {})}, status_code=status, headers=headers)


async def _look(keeper: LimitKeeper, request: Request) -> Response:
    return _json({"limits": await asyncio.to_thread(keeper.states)})


async def _set(keeper: LimitKeeper, request: Request) -> Response:
    setting = decode_json(await read_body(request, BODY_BYTES), Setting)
    changed = await asyncio.to_thread(keeper.set, setting.name, setting.limit)
    return _json({"name": setting.name, "limit": setting.limit, "changed": changed})


async def _ask(keeper: LimitKeeper, request: Request) -> Response:
    asking = decode_json(await read_body(request, BODY_BYTES), Asking)
    _bounded(max(len(asking.requests), len(asking.holding), len(asking.left)))
    answers = await asyncio.to_thread(keeper.ask, _writer(request), asking)
    return _json(Told(tuple(answers), keeper.limits()))


def _bounded(count: int) -> None:
    if count > _MOST:
        raise BodyMalformed(f"it asks for more than {_MOST} at once")


def _writer(request: Request) -> str:
    writer = request.query_params.get("writer", "")
    if not is_id(writer):
        raise BodyMalformed("writer is 32 hex digits")
    return writer


def _json(value: object) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")
