"""`POST …/lineage` and `…/lineage/batch`, as OpenLineage's clients call them. An ASGI application for a server's loop.

201 once an event's lines are written, as Marquez answers. 400 with the JSON path of what is wrong; 413; 503 with
`Retry-After` while too much is being taken or nothing can be written, never 429, at which those clients give up. A batch is
answered with 200 and a summary (spec/OpenLineage.yml, /lineage/batch).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from flowtell.bodies import decode_json, read_body
from flowtell.errors import BodyRefused, JournalUnwritable
from flowtell_lineage.openlineage.receiving.errors import OpenLineageMalformed
from flowtell_lineage.openlineage.receiving.receiver import Receiver, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

PREFIXES: Final = ("/api/v1/lineage", "/openapi/openlineage/api/v1/lineage")
BODY_BYTES: Final = 32 << 20
"""Of a body, as sent and unpacked."""
AT_ONCE: Final = 16
"""Requests that are taken at a time; whoever comes then is told to come again."""
RETRY_SECONDS: Final = 1

logger = logging.getLogger("flowtell.plugin.openlineage")


class Routes:
    """What is read at these paths goes to `reads`. Libraries are imported at the first request."""

    def __init__(self, receiver: Receiver, reads: ASGIApp | None = None, at_once: int = AT_ONCE) -> None:
        self._receiver, self._reads, self._at_once = receiver, reads, at_once
        self._busy = 0
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # there is nothing to start, and nothing that would wait for an end
            return
        if self._reads is not None and scope.get("method") in ("GET", "HEAD"):
            await self._reads(scope, receive, send)
            return
        self._app = self._app or self._built()
        await self._app({**scope, "root_path": ""}, receive, send)

    def _built(self) -> ASGIApp:
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = []
        for prefix in PREFIXES:
            routes.append(Route(prefix, self._bounded(self._one), methods=["POST"]))
            routes.append(Route(f"{prefix}/batch", self._bounded(self._batch), methods=["POST"]))
        return Starlette(routes=routes)

    def _bounded(self, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint with our errors as answers, and not too many of it at once."""

        async def answer(request: Request) -> Response:
            if self._busy >= self._at_once:
                return _later("too many requests are being taken")
            self._busy += 1
            try:
                return await endpoint(request)
            except OpenLineageMalformed as error:
                return _answer(400, {"error": str(error), "code": error.code, "path": error.path})
            except BodyRefused as error:
                return _answer(error.status, {"error": str(error), "code": error.code})
            except (JournalUnwritable, OSError):
                logger.exception("OpenLineage events could not be kept")
                return _later("the server cannot write")
            finally:
                self._busy -= 1

        return answer

    async def _one(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        body = await read_body(request, BODY_BYTES)
        await run_in_threadpool(lambda: self._receiver.take(_decoded(body)))
        return Response(status_code=201)

    async def _batch(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        body = await read_body(request, BODY_BYTES)
        return _answer(200, await run_in_threadpool(self._take_batch, body))

    def _take_batch(self, body: bytes) -> dict[str, Any]:
        events = _decoded(body)
        if not isinstance(events, list):
            raise OpenLineageMalformed("$", "a batch is an array of events")
        return _summary(len(events), self._receiver.take_all(events))


def _decoded(body: bytes) -> Any:
    """A body's JSON, without the letter NUL, which PostgreSQL has not."""
    value = decode_json(body, Any)
    return _without_nul(value) if b"\\u0000" in body else value


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, list):
        return [_without_nul(part) for part in value]
    if isinstance(value, dict):
        return {key.replace("\0", ""): _without_nul(part) for key, part in value.items()}
    return value


def _summary(received: int, refused: list[Refused]) -> dict[str, Any]:
    kept = received - len(refused)
    return {
        "status": "success" if not refused else "partial_success" if kept else "failure",
        "summary": {
            "received": received,
            "successful": kept,
            "failed": len(refused),
            "retriable": 0,
            "non_retriable": len(refused),
        },
        "failed_events": refused,
    }


def _later(problem: str) -> Response:
    return _answer(503, {"error": f"{problem}; come again"}, {"Retry-After": str(RETRY_SECONDS)})


def _answer(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    return Response(msgspec.json.encode(value), status_code=status, headers=headers, media_type="application/json")
