"""`/api/journal`: journals shipped from elsewhere. Each request is bounded, checked, and answered once its lines are kept.

POST takes lines of one writer from a place on; GET tells what there is of it; `alive` is the stream by which a shipper's
kernel says that its process lives; `leave` is said by an agent that stops and will be back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from flowtell.errors import BodyRefused
from flowtell.ids import is_id
from flowtell.server.batches import BadBatch, read_batch
from flowtell.server.keepalive import limit_silence
from flowtell.server.mirrors import Misplaced, NoRoom, Receipt
from flowtell.server.service import Service

PATH: Final = "/api/journal"
_BEAT_SECONDS: Final = 25.0
"""Bytes now and then, as proxies cut a stream that says nothing for a minute."""
_RETRY_SECONDS: Final = 2
_LONGEST_PLACE: Final = 18

logger = logging.getLogger("flowtell.server")


def journal_routes(api: JournalApi) -> list[Route]:
    """All routes of shipping. Each asks first whether this server takes anything."""
    return [
        Route(PATH, _answering(api, api.take), methods=["POST"]),
        Route(PATH, _answering(api, api.tell), methods=["GET"]),
        Route(f"{PATH}/alive", _answering(api, api.stay), methods=["GET"]),
        Route(f"{PATH}/leave", _answering(api, api.leave), methods=["POST"]),
    ]


def _answering(api: JournalApi, endpoint: Callable[[Request], Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
    """The endpoint with what it refuses as JSON answers."""

    async def answer(request: Request) -> Response:
        refusal = api.refusal()
        if refusal is not None:
            return refusal
        try:
            return await endpoint(request)
        except BadBatch as error:
            return _problem(error.status, error.problem)
        except BodyRefused as error:
            return _problem(error.status, error.message)
        except Misplaced as error:
            return _problem(409, error.problem, api.told(error.receipt))
        except NoRoom:
            return _problem(507, "the server's disk is full; keep what you have and come back", retry=True)
        except ClientDisconnect:  # cut half way: nobody hears the answer, and nothing was kept
            return _problem(400, "the request was cut")
        except OSError as error:
            logger.exception("a shipped journal could not be kept")
            return _problem(503, f"the server cannot write: {error.strerror or error}", retry=True)

    return answer


def _problem(status: int, message: str, facts: dict[str, object] | None = None, *, retry: bool = False) -> Response:
    headers = {"Retry-After": str(_RETRY_SECONDS)} if retry else {}
    return JSONResponse({"error": message, **(facts or {})}, status_code=status, headers=headers)


class JournalApi:
    """The endpoints over one service. Files are written on threads."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._streams: set[asyncio.Future[None]] = set()
        self.connections: Collection[Any] = ()
        """Of the HTTP server, once it runs."""

    def refusal(self) -> Response | None:
        """Why this server takes nothing now; None when it does."""
        if not self._service.leading:
            return _problem(503, "this server is on standby; the leader takes journals", retry=True)
        return None

    def told(self, receipt: Receipt) -> dict[str, object]:
        """A receipt as it is sent, with the period in which this server wants a sign of life."""
        return {**receipt._asdict(), "heartbeat": self._service.presence.heartbeat}

    async def take(self, request: Request) -> Response:
        """Lines of one writer from `place` on, after its header line; `ended=1` with the last ones."""
        query = request.query_params
        writer, place = _writer(request), _place(query.get("place"))
        shipper, ended = _shipper(query.get("shipper"), writer), query.get("ended") == "1"
        if self._service.mirrors.full:
            self._service.presence.heard(writer, shipper)
            return _problem(429, "more was received than the log has taken; keep what you have", retry=True)
        body = await request.body()  # the guard bounds it
        try:
            receipt = await asyncio.to_thread(self._keep, body, request.headers.get("content-encoding", ""), writer, place)
        except Misplaced:  # it lives, and has more to send
            self._service.presence.heard(writer, shipper)
            raise
        if not receipt.local:
            self._service.presence.heard(writer, shipper, farewell=ended)
        return JSONResponse(self.told(receipt))

    def _keep(self, body: bytes, encoding: str, writer: str, place: int) -> Receipt:
        return self._service.mirrors.receive(read_batch(body, encoding, writer, place))

    async def tell(self, request: Request) -> Response:
        """What there is of a writer."""
        writer = _writer(request)
        receipt = await asyncio.to_thread(self._service.mirrors.find, writer)
        if receipt is None:
            return _problem(404, f"nothing is known of writer {writer}")
        return JSONResponse(self.told(receipt))

    async def stay(self, request: Request) -> Response:
        """A stream that is open while its shipper lives."""
        limit_silence(request.client, self.connections)
        return _Alive(self, _shipper(request.query_params.get("shipper"), ""))

    async def leave(self, request: Request) -> Response:
        """An agent stops, and will be back."""
        self._service.presence.leave(_shipper(request.query_params.get("shipper"), ""))
        return JSONResponse({"heartbeat": self._service.presence.heartbeat})

    # --- streams --------------------------------------------------------------------------------------------------

    async def hold(self, shipper: str, receive: Receive, send: Send) -> None:
        """Until the shipper is gone, or this server stops."""
        leaving = asyncio.get_running_loop().create_future()
        self._streams.add(leaving)
        try:
            with self._service.presence.stream(shipper):
                await _beat_until_gone(leaving, receive, send)
        finally:
            self._streams.discard(leaving)

    def end_streams(self) -> None:
        """This server stops. From the loop's thread."""
        for leaving in self._streams:
            if not leaving.done():
                leaving.set_result(None)


class _Alive(Response):
    """The stream: Starlette's own notices an end only when it sends."""

    def __init__(self, api: JournalApi, shipper: str) -> None:
        super().__init__(media_type="text/plain", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._api, self._shipper = api, shipper

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._api.hold(self._shipper, receive, send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _beat_until_gone(leaving: asyncio.Future[None], receive: Receive, send: Send) -> None:
    hearing = asyncio.ensure_future(_disconnected(receive))
    try:
        while not hearing.done() and not leaving.done():
            await send({"type": "http.response.body", "body": b".\n", "more_body": True})
            await asyncio.wait({hearing, leaving}, timeout=_BEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hearing.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


# --- what is asked for ------------------------------------------------------------------------------------------------


def _writer(request: Request) -> str:
    writer = request.query_params.get("writer", "")
    if not is_id(writer):
        raise BadBatch(400, "writer is 32 hex digits")
    return writer


def _shipper(text: str | None, default: str) -> str:
    shipper = text or default
    if not is_id(shipper):
        raise BadBatch(400, "shipper is 32 hex digits")
    return shipper


def _place(text: str | None) -> int:
    if not text or not text.isascii() or not text.isdigit() or len(text) > _LONGEST_PLACE:
        raise BadBatch(400, "place is a whole number: the offset of the first line in its journal")
    return int(text)
