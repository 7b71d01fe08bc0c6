"""`POST /api/ping/{flow}/{start|success|fail}`: check-ins from anything that can make a request.

Only POST: what changes something by GET is done again by whoever prefetches, previews or retries an address, and on a
server without tokens by any page with a picture from it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowtell.bodies import read_body
from flowtell.errors import BadPing, BodyRefused, JournalUnwritable
from flowtell.server.limits import BODY_BYTES
from flowtell.server.pings import read_ping
from flowtell.server.service import Service

PATH: Final = "/api/ping"
_RETRY_SECONDS: Final = 2

logger = logging.getLogger("flowtell.server")


def ping_routes(service: Service) -> list[Route]:
    """All routes of check-ins, over one service."""
    api = _Api(service)
    every_method = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return [Route(f"{PATH}/{{flow}}/{{what}}", api.ping, methods=every_method)]


class _Api:
    def __init__(self, service: Service) -> None:
        self._service = service

    async def ping(self, request: Request) -> Response:
        """Take one check-in: 200 with its run once it is written, 400 where it says nothing that can be kept."""
        if request.method != "POST":
            return _problem(405, f"check in by POST: curl -fsS -X POST {request.url.path}", {"Allow": "POST"})
        if self._service.check_ins is None:
            return _not_now("this server is on standby; the leader takes check-ins")
        try:
            body = await read_body(request, BODY_BYTES)
            ping = read_ping(**request.path_params, query=request.query_params, body=body)
            answer = await asyncio.to_thread(self._service.check_ins.take, ping)
        except BadPing as error:
            return _problem(400, str(error), code=error.code)
        except BodyRefused as error:
            return _problem(error.status, str(error), code=error.code)
        except (JournalUnwritable, OSError):
            logger.exception("a check-in could not be kept")
            return _not_now("the server cannot write; come again")
        return Response(msgspec.json.encode(answer), media_type="application/json")


def _not_now(message: str) -> Response:
    return _problem(503, message, {"Retry-After": str(_RETRY_SECONDS)})


def _problem(status: int, message: str, headers: dict[str, str] | None = None, code: str = "") -> Response:
    return JSONResponse({"error": message, **({"code": code} if code else {})}, status_code=status, headers=headers)
