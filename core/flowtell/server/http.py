"""The core's own routes: health, runs, events. JSON, every query bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from flowtell.errors import BadMoment, BodyRefused, FlowtellError, NothingKnown, RunNotFound
from flowtell.events import END_STATES
from flowtell.moments import moment
from flowtell.runner import system_clock
from flowtell.server.service import Service
from flowtell.store import reading
from flowtell.store.store import Store

MAX_PAGE: Final = 10_000
_POLL_SECONDS: Final = 0.1
_KEEPALIVE_SECONDS: Final = 15.0

Endpoint = Callable[[Request], Awaitable[Response]]


class BadRequest(Exception):
    """A parameter that cannot be used; the text says which and why."""


def routes(service: Service) -> list[Route]:
    """All routes of the core, over one service."""
    api = Api(service)
    table: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("/healthz", api.healthz),
        ("/readyz", api.readyz),
        ("/api/runs", api.runs),
        ("/api/runs/{id}", api.run),
        ("/api/runs/{id}/tasks", api.tasks),
        ("/api/runs/{id}/logs", api.logs),
        ("/api/why/{subject:path}", api.why),
        ("/api/flows", api.flows),
        ("/api/plugins", api.plugins),
        ("/api/sources", api.sources),
        ("/api/events", api.events),
    ]
    return [Route(path, _answering(endpoint), methods=["GET"]) for path, endpoint in table]


def _answering(endpoint: Endpoint) -> Endpoint:
    """The endpoint with our errors as JSON answers."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except BadRequest as error:
            return _problem(400, str(error), "")
        except BadMoment as error:
            return _problem(400, str(error), error.code)
        except (RunNotFound, NothingKnown) as error:
            return _problem(404, str(error), error.code)
        except BodyRefused as error:
            return _problem(error.status, str(error), error.code)
        except FlowtellError as error:
            return _problem(500, str(error), error.code)

    return answer


def _problem(status: int, message: str, code: str) -> Response:
    return JSONResponse({"error": message, **({"code": code} if code else {})}, status_code=status)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


class Api:
    """The endpoints. Queries run on threads, so that none holds up the others."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def _store(self) -> Store:
        return self._service.store  # another one after a change of role

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        """200 when migrated, ingesting and every plugin is within its lag bound. Says no more than that from outside.

        A server that stands by is not ready: what must be kept goes to the one that leads. With `?standby=ok` it is.
        """
        if self._service.standing_by:
            fine = request.query_params.get("standby") == "ok"
            return JSONResponse({"status": "standby"}, status_code=200 if fine else 503)
        problems = await asyncio.to_thread(self._service.problems)
        return JSONResponse({"status": "ready" if not problems else "not ready"}, status_code=503 if problems else 200)

    async def plugins(self, request: Request) -> Response:
        return _json({"plugins": self._service.statuses(), "problems": await asyncio.to_thread(self._service.problems)})

    async def sources(self, request: Request) -> Response:
        return _json({"sources": self._service.sources()})

    async def why(self, request: Request) -> Response:
        """Of a flow, of FLOW/DEPLOYMENT, or of a run by whatever begins its id."""
        from flowtell.why import why

        query, now = request.query_params, system_clock()
        at = moment(query["at"], now) if query.get("at") else now
        wanted, environment = request.path_params["subject"], query.get("environment", "")
        return _json(await asyncio.to_thread(lambda: why(self._store.read, wanted, at, environment=environment)))

    async def runs(self, request: Request) -> Response:
        query = request.query_params
        states = tuple(part for part in query.get("state", "").split(",") if part)
        _known_states(states)
        filters: dict[str, Any] = {
            "flow": query.get("flow", ""),
            "state": states,
            "environment": query.get("environment", ""),
            "text": query.get("text", ""),
            "since": _number(query.get("since"), "since"),
            "until": _number(query.get("until"), "until"),
            "limit": _limit(query.get("limit"), 100),
        }
        rows = await asyncio.to_thread(lambda: reading.list_runs(self._store.read, **filters))
        return _json({"runs": rows})

    async def run(self, request: Request) -> Response:
        return _json(await asyncio.to_thread(reading.get_run, self._store.read, request.path_params["id"]))

    async def tasks(self, request: Request) -> Response:
        limit = _limit(request.query_params.get("limit"), 1000)
        run = await asyncio.to_thread(reading.get_run, self._store.read, request.path_params["id"])
        return _json({"tasks": await asyncio.to_thread(reading.list_task_runs, self._store.read, run.id, limit)})

    async def logs(self, request: Request) -> Response:
        query = request.query_params
        run = await asyncio.to_thread(reading.get_run, self._store.read, request.path_params["id"])
        after, limit = _number(query.get("after"), "after") or 0, _limit(query.get("limit"), 1000)
        return _json({"logs": await asyncio.to_thread(reading.list_logs, self._store.read, run.id, after, limit)})

    async def flows(self, request: Request) -> Response:
        return _json({"flows": await asyncio.to_thread(reading.list_flows, self._store.read)})

    async def events(self, request: Request) -> Response:
        """A page of the log after `after`; as server-sent events, that and all that follows."""
        query = request.query_params
        types = tuple(part for part in query.get("type", "").split(",") if part)
        after = _number(query.get("after"), "after") or 0
        if "text/event-stream" in request.headers.get("accept", ""):
            after = _number(request.headers.get("last-event-id"), "Last-Event-ID") or after
            return StreamingResponse(
                self._stream(request, after, types),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-cache"},
            )
        limit = _limit(query.get("limit"), 1000)
        lines = await asyncio.to_thread(self._store.log.read_lines, after, limit, types)
        last = lines[-1][0] if lines else after
        body = (
            b'{"events":['
            + b",".join(line for _, line in lines)
            + b'],"next":%d,"head":%d}' % (last, self._store.window.head)
        )
        return Response(body, media_type="application/json")

    async def _stream(self, request: Request, after: int, types: tuple[str, ...]) -> AsyncIterator[bytes]:
        quiet = 0.0
        while not await request.is_disconnected():
            head = self._store.window.head
            if head > after:
                lines = await asyncio.to_thread(self._store.log.read_lines, after, 1000, types)
                for seq, line in lines:
                    yield b"id: %d\ndata: %s\n\n" % (seq, line)
                    quiet = 0.0
                # up to the head there was nothing more of these types: do not look through it again
                after = lines[-1][0] if len(lines) == 1000 else max([head, *(seq for seq, _ in lines[-1:])])
            await asyncio.sleep(_POLL_SECONDS)
            quiet += _POLL_SECONDS
            if quiet >= _KEEPALIVE_SECONDS:
                yield b": still here\n\n"
                quiet = 0.0


def _known_states(states: tuple[str, ...]) -> None:
    known = {*END_STATES, "scheduled", "late", "pending", "waiting", "running", "retrying", "paused", "cancelling"}
    known.add("removed")  # gone from its source
    for state in states:
        if state not in known:
            raise BadRequest(f"state '{state[:40]}' is none of {', '.join(sorted(known))}")


def _number(text: str | None, name: str) -> int | None:
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise BadRequest(f"{name} is a whole number, not {json.dumps(text[:40])}")
    return int(text)


def _limit(text: str | None, default: int) -> int:
    limit = _number(text, "limit")
    if limit is None:
        return default
    if not 1 <= limit <= MAX_PAGE:
        raise BadRequest(f"limit is from 1 to {MAX_PAGE}")
    return limit
