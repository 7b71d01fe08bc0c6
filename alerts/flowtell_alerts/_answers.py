"""What people say where a channel showed an incident, on its way from the server's HTTP to the plugin's thread.

An answer is given when the event is in the log: what was pressed is not lost after that.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from flowtell.events import Event
from flowtell.plugin import Context
from flowtell_alerts.channels import Channel, NotSigned, Said
from flowtell_alerts.errors import IncidentNotFound, IncidentOver
from flowtell_alerts.incidents import acknowledgement
from flowtell_alerts.reading import get_incident
from flowtell_alerts.silences import new_silence

PATH: Final = "/api/signed/notifications"

WAITING: Final = 200
"""Answers that may wait for the plugin's thread; beyond that people are to press again."""

PATIENCE: Final = 2.5
"""Seconds in which the event must be in the log. Slack gives three."""

_HOUR: Final = 3_600_000_000

_Waiting = tuple[Said, "Future[str]"]


class Answers:
    """`channels` and the ASGI application are for the server's loop; `emit` and `committed` for the plugin's thread."""

    def __init__(self, context: Context, channels: Callable[[], Mapping[str, Channel]]) -> None:
        self._context, self._channels = context, channels
        self._queue: queue.Queue[_Waiting] = queue.Queue(WAITING)
        self._emitted: list[tuple[Future[str], str]] = []

    # --- on the server's loop -------------------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        answer = await self._answer(Request(scope, receive))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        channel = self._channels().get(request.url.path.rpartition("/")[2])
        if channel is None or not channel.hears:
            return _refused(404, "no channel of that name hears anything")
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            heard = channel.heard(headers, await request.body())
        except NotSigned as error:
            return _refused(401, str(error), error.code)
        try:
            problems = [await self._carried_out(each) for each in heard]
        except (TimeoutError, queue.Full):
            return _refused(503, "it was not written in time; press again")
        wrong = next((problem for problem in problems if problem), "")
        return _refused(409, wrong) if wrong else Response()

    async def _carried_out(self, said: Said) -> str:
        waiting: Future[str] = Future()
        self._queue.put_nowait((said, waiting))
        return await asyncio.wait_for(asyncio.wrap_future(waiting), PATIENCE)

    # --- on the plugin's thread -----------------------------------------------------------------------------------

    def committed(self) -> None:
        """What was emitted in the last call is in the log: say so."""
        for waiting, problem in self._emitted:
            if not waiting.done():
                waiting.set_result(problem)
        self._emitted.clear()

    def emit(self, now: int) -> None:
        """Put what was said into the log, in the transaction of this call."""
        while not self._queue.empty():
            said, waiting = self._queue.get()
            if not waiting.done():
                self._emitted.append((waiting, self._say(said, now)))

    def _say(self, said: Said, now: int) -> str:
        """Empty, or why it could not be done."""
        try:
            incident = get_incident(self._context.read, said.incident)
            event: Event = acknowledgement(incident, actor=said.actor, now=now)
        except (IncidentNotFound, IncidentOver) as error:
            return str(error)
        if said.action == "silence":
            matchers = {"rule": incident.key}
            event = new_silence(
                matchers, since=now, until=now + _HOUR, actor=said.actor, reason="by a button of a message", now=now
            )
        self._context.emit(event, cause=incident.incident, name=f"{said.actor} {said.id or now}")
        return ""


def _refused(status: int, problem: str, code: str = "") -> Response:
    return JSONResponse({"error": problem, **({"code": code} if code else {})}, status_code=status)


__all__ = ["PATH", "Answers"]
