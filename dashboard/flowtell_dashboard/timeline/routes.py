"""What the pictures ask by themselves, past Dash: the timeline as bytes, one run's label, task runs and logs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
from fastapi import FastAPI, Request, Response, WebSocket

from flowtell.errors import RunNotFound
from flowtell.store.reading import get_run
from flowtell_dashboard.answers import Answers
from flowtell_dashboard.gantt.logs import read_lines
from flowtell_dashboard.gantt.reading import read_gantt
from flowtell_dashboard.states import look
from flowtell_dashboard.timeline.index import Index
from flowtell_dashboard.timeline.live import Live
from flowtell_dashboard.timeline.question import Question
from flowtell_dashboard.timeline.view import view
from flowtell_dashboard.timeline.wire import encode

if TYPE_CHECKING:
    from flowtell.store.reading import Read, Run

PREFIX: Final = "/_timeline/"
_BYTES: Final = "application/octet-stream"


def add_routes(server: FastAPI, answers: Answers, index: Index, read: Read, clock: Callable[[], int]) -> None:
    """Below `/_timeline/`. Behind the server's guard like every page."""
    _add_picture(server, answers, index, clock)
    _add_runs(server, answers, read, clock)


def _add_picture(server: FastAPI, answers: Answers, index: Index, clock: Callable[[], int]) -> None:
    """`blocks` and `seq` by GET, `live` by websocket."""

    async def draw(question: Question) -> bytes:
        return await answers.to(question, lambda: _drawn(index, question, answers.seq, clock()))

    async def live(socket: WebSocket) -> None:
        await Live(socket, answers, draw).run()

    async def seq() -> Response:
        told = msgspec.json.encode({"seq": answers.seq, "now": clock()})
        return Response(told, media_type="application/json", headers={"cache-control": "no-store"})

    async def blocks(request: Request) -> Response:
        try:
            question = Question.of(request.query_params)
        except ValueError as error:
            return Response(msgspec.json.encode({"error": str(error)}), 400, media_type="application/json")
        return Response(await draw(question), media_type=_BYTES, headers={"cache-control": "no-store"})

    server.add_api_websocket_route(f"{PREFIX}live", live)
    server.add_api_route(f"{PREFIX}seq", seq, methods=["GET"])
    server.add_api_route(f"{PREFIX}blocks", blocks, methods=["GET"])


def _add_runs(server: FastAPI, answers: Answers, read: Read, clock: Callable[[], int]) -> None:
    """`run`, `tasks` and `logs` by GET."""

    async def run(request: Request) -> Response:
        try:
            found = await asyncio.to_thread(get_run, read, request.query_params.get("id", "")[:40])
        except RunNotFound as error:
            return _not_there(error)
        return Response(msgspec.json.encode(_label(found)), media_type="application/json")

    async def tasks(request: Request) -> Response:
        wanted = request.query_params.get("id", "")[:40]
        try:
            found = await answers.to(("tasks", wanted), lambda: msgspec.json.encode(read_gantt(read, wanted, clock())))
        except RunNotFound as error:
            return _not_there(error)
        return Response(found, media_type="application/json", headers={"cache-control": "no-store"})

    async def logs(request: Request) -> Response:
        given = request.query_params
        wanted, after = given.get("run", "")[:40], _whole(given.get("after", ""))
        lines = await asyncio.to_thread(read_lines, read, wanted, after)
        return Response(msgspec.json.encode(lines), media_type="application/json", headers={"cache-control": "no-store"})

    server.add_api_route(f"{PREFIX}logs", logs, methods=["GET"])
    server.add_api_route(f"{PREFIX}tasks", tasks, methods=["GET"])
    server.add_api_route(f"{PREFIX}run", run, methods=["GET"])


def _not_there(error: RunNotFound) -> Response:
    """With 200: a page may be opened before its run is here, and a browser writes every 404 on its console."""
    return Response(msgspec.json.encode({"missing": str(error)}), media_type="application/json")


def _drawn(index: Index, question: Question, seq: int, now: int) -> bytes:
    return encode(view(index, question, now), seq, now)


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _label(run: Run) -> dict[str, object]:
    """What the picture says of a run that is pointed at."""
    return {
        "id": run.id,
        "flow": run.flow,
        "name": run.name,
        "deployment": run.deployment,
        "environment": run.environment,
        "state": run.state,
        "word": look(run.state).word,
        "due": run.due,
        "started": run.started,
        "ended": run.ended,
        "duration": run.duration,
        "attempts": run.attempts,
        "error": run.error.type if run.error else "",
    }
