"""`/api/runs/{id}/questions` and `/api/runs/{id}/resume`; and where runs elsewhere ask what they were answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from flowtell.answers.remote import PATH, Asking
from flowtell.bodies import decode_json, read_body
from flowtell.errors import (
    BadAnswer,
    BodyMalformed,
    BodyRefused,
    BoxFull,
    JournalUnwritable,
    RunNotFound,
    RunNotPaused,
)
from flowtell.ids import is_id
from flowtell.server.answering import Answering
from flowtell.server.limits import BODY_BYTES
from flowtell.server.service import Service

_LONGEST_ACTOR: Final = 200
_MOST_SAID: Final = 1_000

logger = logging.getLogger("flowtell.server")


class Resuming(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of an answer. `key` may be left out where the run waits for one answer alone."""

    answer: Any = None
    key: str | None = None
    actor: str = ""
    """Who answers, for the run's page."""


_Endpoint = Callable[[Answering, Request], Awaitable[Response]]


def answer_routes(service: Service) -> list[Route]:
    """All routes of answers, over one service."""
    return [
        Route("/api/runs/{id}/questions", _answering(service, _questions), methods=["GET"]),
        Route("/api/runs/{id}/resume", _answering(service, _resume), methods=["POST"]),
        Route(PATH, _answering(service, _ask), methods=["POST"]),
    ]


def _answering(service: Service, endpoint: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        if service.answering is None:
            return _problem(503, "this server is on standby; the leader takes answers", retry=True)
        try:
            return await endpoint(service.answering, request)
        except BadAnswer as error:
            return _problem(error.status, str(error), error.code, problems=error.problems)
        except RunNotFound as error:
            return _problem(404, str(error), error.code)
        except (RunNotPaused, BodyRefused) as error:
            return _problem(error.status, str(error), error.code)
        except (BoxFull, JournalUnwritable, OSError) as error:
            logger.exception("an answer could not be kept")
            return _problem(503, f"the server cannot write: {error}", retry=True)

    return answer


def _problem(
    status: int, message: str, code: str = "", *, problems: tuple[object, ...] = (), retry: bool = False
) -> Response:
    told = {"error": message, **({"code": code} if code else {})}
    if problems:
        told["problems"] = msgspec.to_builtins(problems)
    return JSONResponse(told, status_code=status, headers={"Retry-After": "2"} if retry else {})


async def _questions(answering: Answering, request: Request) -> Response:
    run, questions = await asyncio.to_thread(answering.questions, request.path_params["id"])
    return _json({"run": run.id, "state": run.state, "questions": [asked._asdict() for asked in questions]})


async def _resume(answering: Answering, request: Request) -> Response:
    """200 once the run has taken it, 202 where it has not looked yet, 422 where it does not fit."""
    body = await read_body(request, BODY_BYTES)
    said = decode_json(body or b"{}", Resuming)
    actor = said.actor.strip()[:_LONGEST_ACTOR] or "http"
    wanted = request.path_params["id"]
    run, asked, outcome = await asyncio.to_thread(answering.resume, wanted, said.key, said.answer, actor)
    status = 200 if outcome == "resumed" else 202
    return _json({"run": run.id, "key": asked.key, "outcome": outcome}, status)


async def _ask(answering: Answering, request: Request) -> Response:
    asking = decode_json(await read_body(request, BODY_BYTES), Asking)
    if not is_id(asking.run):
        raise BodyMalformed("run is 32 hex digits")
    if len(asking.said) > _MOST_SAID or asking.place < 0:
        raise BodyMalformed("it says more than a run has to say")
    return _json(await asyncio.to_thread(answering.ask, asking))


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")
