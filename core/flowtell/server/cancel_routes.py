"""`POST /api/runs/{id}/cancel`: end a run, as `flowtell cancel` does on the server's machine."""

from __future__ import annotations

import asyncio
import logging
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowtell.bodies import decode_json, read_body
from flowtell.errors import BodyRefused, JournalUnwritable, RunNotCancellable, RunNotFound
from flowtell.server.cancelling import CancellingRuns, ServerStops, TooManyCancelled
from flowtell.server.limits import BODY_BYTES
from flowtell.server.service import Service

_LONGEST: Final = 200
_LONGEST_REASON: Final = 1_000

logger = logging.getLogger("flowtell.server")


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body; all of it may be left out."""

    actor: str = ""
    """Who cancels, for the run's page."""
    reason: str = ""
    grace: Annotated[float, msgspec.Meta(ge=0, le=3_600)] = 30.0
    """Seconds in which the run may clean up; then its process is killed."""


def cancel_routes(service: Service) -> list[Route]:
    """The one route, over one service."""

    async def answer(request: Request) -> Response:
        if service.cancelling is None:
            return _problem(503, "this server is on standby; the leader cancels runs", retry=True)
        try:
            return await _cancel(service.cancelling, request)
        except RunNotFound as error:
            return _problem(404, str(error), error.code)
        except (RunNotCancellable, BodyRefused) as error:
            return _problem(error.status, str(error), error.code)
        except TooManyCancelled:
            return _problem(429, "many runs are being cancelled; try again when some have ended", retry=True)
        except (ServerStops, JournalUnwritable, OSError) as error:
            logger.warning("a run was not cancelled: %r", error)
            return _problem(503, f"the run was not cancelled: {error}", retry=True)

    return [Route("/api/runs/{id}/cancel", answer, methods=["POST"])]


async def _cancel(cancelling: CancellingRuns, request: Request) -> Response:
    """200 once it has ended, 202 while it cleans up, 409 where it cannot be cancelled from here."""
    wish = decode_json(await read_body(request, BODY_BYTES) or b"{}", Wish)
    actor = wish.actor.strip()[:_LONGEST] or "http"
    asked = request.path_params["id"], actor, wish.reason.strip()[:_LONGEST_REASON], wish.grace
    run, outcome = await asyncio.to_thread(cancelling.cancel, *asked)
    return JSONResponse({"run": run.id, "outcome": outcome}, status_code=202 if outcome == "cancelling" else 200)


def _problem(status: int, message: str, code: str = "", *, retry: bool = False) -> Response:
    told = {"error": message, **({"code": code} if code else {})}
    return JSONResponse(told, status_code=status, headers={"Retry-After": "2"} if retry else {})
