"""The plugin `incidents`: serves `/api/incidents` and `/api/silences`, what the commands show and do, as JSON.

Apart from the plugin that judges, which may so run in a process of its own. It keeps nothing; it reads that one's tables.

What changes something is an event in a journal of this server's own, and is answered with 202 once its line is written: the
plugins, and so the lists, know of it a moment later. The server's door has asked for a token with `operate` by then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import Struct

from flowtell.decoders import decoder
from flowtell.errors import FlowtellError, JournalUnwritable, UnknownKey
from flowtell.events import Event
from flowtell.plugin import BasePlugin, Context
from flowtell.rules import seconds
from flowtell.source.writing import SourceJournal
from flowtell_alerts import reading
from flowtell_alerts.errors import BadSilence, IncidentNotFound, IncidentOver, SilenceNotFound
from flowtell_alerts.incidents import Incident, acknowledgement, shown
from flowtell_alerts.silences import early_end, new_silence, silence_made_by

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

INCIDENTS: Final = "/api/incidents"
SILENCES: Final = "/api/silences"

MAX_BODY: Final = 16_384
"""Bytes of a request's body."""

MAX_PAGE: Final = 1_000
MAX_NESTING: Final = 8

_STATUS: Final[dict[type[FlowtellError], int]] = {
    IncidentNotFound: 404,
    SilenceNotFound: 404,
    IncidentOver: 409,
    BadSilence: 400,
    JournalUnwritable: 503,
}
_T = TypeVar("_T")


def create(settings: Mapping[str, Any]) -> IncidentPages:
    """The factory that the entry point names.

    Raises:
        UnknownKey: any key: it has no settings.
    """
    for key in settings:
        raise UnknownKey(key, "[plugin.incidents]")
    return IncidentPages()


class IncidentPages(BasePlugin):
    """Opened for its routes alone."""

    wants = ("silence.expired",)  # a plugin that names no type gets all of them
    tick_seconds = 60.0

    def open(self, context: Context) -> None:
        super().open(context)
        self._routes = IncidentRoutes(context)
        for path in (INCIDENTS, SILENCES):
            context.mount(path, self._routes)

    def handle(self, events: Sequence[Event]) -> None:
        """Nothing is kept."""

    def close(self, timeout: float) -> None:
        self._routes.close()


class BadRequest(Exception):
    """A parameter or a body that cannot be used; the text says which and why."""


class Acknowledge(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /api/incidents/{id}/ack`."""

    actor: str


class Silenced(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of `POST /api/silences`. Moments are µs since the epoch; `lasts` is seconds or a span such as `2h`."""

    matchers: dict[str, str]
    actor: str
    reason: str
    until: int | None = None
    lasts: str | float | None = None
    since: int | None = None


class IncidentRoutes:
    """The ASGI application of both prefixes, for a server's loop. Its libraries are imported at the first request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._journal = SourceJournal(context.home, "", context.environment)
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # there is nothing to start, and nothing that would wait for an end
            return
        self._app = self._app or self._built()
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Let go of the journal. What was said is in it."""
        with self._lock:
            self._journal.close()

    def _built(self) -> ASGIApp:
        from starlette.applications import Starlette
        from starlette.routing import Route

        table: list[tuple[str, str, Callable[..., Any]]] = [
            ("GET", INCIDENTS, self._list),
            ("GET", INCIDENTS + "/{id}", self._one),
            ("POST", INCIDENTS + "/{id}/ack", self._acknowledge),
            ("GET", SILENCES, self._silences),
            ("POST", SILENCES, self._silence),
            ("DELETE", SILENCES + "/{id}", self._unsilence),
        ]
        routes = [Route(path, _answering(endpoint), methods=[method]) for method, path, endpoint in table]
        return _without_prefix(Starlette(routes=routes))

    # --- incidents ------------------------------------------------------------------------------------------------

    def _list(self, request: Request, body: bytes) -> Any:
        query = request.query_params
        state = query.get("state", "open")
        if state not in ("open", "all"):
            raise BadRequest("state is open or all")
        names = ("flow", "environment", "kind", "severity")
        filters = {name: query.get(name, "")[:200] for name in names}
        found = reading.incidents(self._context.read, open_only=state == "open", limit=_limit(query.get("limit")), **filters)
        return {"incidents": [shown(incident) for incident in found]}

    def _one(self, request: Request, body: bytes) -> Any:
        incident = self._incident(request)
        return {**shown(incident), "history": reading.history(self._context.read, incident.incident)}

    def _acknowledge(self, request: Request, body: bytes) -> Any:
        said = _decoded(body, Acknowledge)
        if not said.actor.strip():
            raise BadRequest("actor says who looks after it, and must not be empty")
        incident = self._incident(request)
        self._say(acknowledgement(incident, actor=said.actor.strip(), now=self._context.clock()))
        return {"incident": incident.incident, "acknowledged_by": said.actor.strip()}

    def _incident(self, request: Request) -> Incident:
        return reading.get_incident(self._context.read, request.path_params["id"])

    # --- silences -------------------------------------------------------------------------------------------------

    def _silences(self, request: Request, body: bytes) -> Any:
        state = request.query_params.get("state", "open")
        if state not in ("open", "all"):
            raise BadRequest("state is open or all")
        now = self._context.clock() if state == "open" else None
        found = reading.silences(self._context.read, now=now, limit=_limit(request.query_params.get("limit")))
        return {"silences": found}

    def _silence(self, request: Request, body: bytes) -> Any:
        said, now = _decoded(body, Silenced), self._context.clock()
        until = _until(said, now)
        actor = said.actor.strip()
        if not actor:
            raise BadRequest("actor says who is silent, and must not be empty")
        event = new_silence(said.matchers, until=until, actor=actor, reason=said.reason, now=now, since=said.since)
        self._say(event)
        return silence_made_by(event)

    def _unsilence(self, request: Request, body: bytes) -> Any:
        now = self._context.clock()
        silence = reading.get_silence(self._context.read, request.path_params["id"], now)
        self._say(early_end(silence, actor=request.query_params.get("actor", "")[:200] or "http", now=now))
        return {"silence": silence.silence}

    def _say(self, event: Event) -> None:
        with self._lock:
            self._journal.write([event])


def _until(said: Silenced, now: int) -> int:
    if (said.until is None) == (said.lasts is None):
        raise BadRequest("say when it ends: either until, in µs since the epoch, or lasts, such as 2h")
    if said.until is not None:
        return said.until
    try:
        return (now if said.since is None else said.since) + int(seconds(said.lasts or 0) * 1e6)
    except (ValueError, OverflowError) as error:
        raise BadRequest(f"lasts: {error}") from error


# --- requests and answers -----------------------------------------------------------------------------------------


def _answering(endpoint: Callable[[Request, bytes], Any]) -> Callable[[Request], Any]:
    """The endpoint on a thread, with its value as JSON and our errors as answers."""

    async def answer(request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import Response

        try:
            body = await _body(request)
            value = await run_in_threadpool(endpoint, request, body)
        except BadRequest as error:
            return _problem(400, str(error))
        except FlowtellError as error:
            return _problem(_STATUS.get(type(error), 500), str(error), error.code)
        status = 202 if request.method in ("POST", "DELETE") else 200
        return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")

    return answer


def _problem(status: int, message: str, code: str = "") -> Response:
    from starlette.responses import JSONResponse

    return JSONResponse({"error": message, **({"code": code} if code else {})}, status_code=status)


async def _body(request: Request) -> bytes:
    """The whole body; one that is packed or too long is refused before it is read."""
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise BadRequest("the body must not be packed")
    whole = bytearray()
    async for part in request.stream():
        whole += part
        if len(whole) > MAX_BODY:
            raise BadRequest(f"the body has more than {MAX_BODY} bytes")
    return bytes(whole)


def _decoded(body: bytes, kind: type[_T]) -> _T:
    if body.count(b"[") + body.count(b"{") > MAX_NESTING:
        raise BadRequest("the body is nested too deeply")
    try:
        return decoder(kind)(body)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise BadRequest(f"the body is not what is wanted: {str(error)[:200]}") from error


def _limit(text: str | None) -> int:
    if not text:
        return 100
    if not (text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= MAX_PAGE):
        raise BadRequest(f"limit is from 1 to {MAX_PAGE}")
    return int(text)


def _without_prefix(app: ASGIApp) -> ASGIApp:
    """Routes are written as they are called, whatever prefix the server mounts them under; no path ends with a slash."""

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "root_path": ""}, receive, send)

    return whole


__all__ = ["INCIDENTS", "SILENCES", "IncidentPages", "IncidentRoutes", "create"]
