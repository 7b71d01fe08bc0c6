"""A metrics page as an ASGI application: text 0.0.4 or OpenMetrics by what is accepted, gzip where it is."""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

_GZIP_LEVEL: Final = 1
"""A page is read once, near by: the higher levels take ten times as long for a quarter less."""


class MetricsPage:
    """Made on a thread of its own, so that neither the server's loop nor `handle` waits; scrapes take turns.

    What serves it is imported at the first request: a reading command opens this plugin too, and serves nothing.
    """

    def __init__(self, text: Callable[[bool], str], *, openmetrics: bool = True) -> None:
        """`text` makes the page, in OpenMetrics where it is told so; it is called by one thread at a time."""
        self._text, self._has_openmetrics = text, openmetrics
        self._one_at_a_time = threading.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import Request

        response = await run_in_threadpool(self.respond, Request(scope))
        await response(scope, receive, send)

    def respond(self, request: Request) -> Response:
        from starlette.responses import JSONResponse, PlainTextResponse

        if request.scope["path"].removeprefix(request.scope.get("root_path", "")).strip("/"):
            return JSONResponse({"error": f"nothing is served at {request.scope['path']}"}, status_code=404)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Metrics are read by GET.\n", status_code=405, headers={"Allow": "GET, HEAD"})
        return self._page(request.headers.get("accept", ""), request.headers.get("accept-encoding", ""))

    def _page(self, accept: str, accept_encoding: str) -> Response:
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, gzip_accepted
        from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
        from starlette.responses import Response

        openmetrics = self._has_openmetrics and prefers_openmetrics(accept)
        kind = CONTENT_TYPE_LATEST if openmetrics else CONTENT_TYPE_PLAIN_0_0_4
        headers = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
        body = self.text(openmetrics=openmetrics).encode()
        if gzip_accepted(accept_encoding):
            body, headers["Content-Encoding"] = gzip.compress(body, _GZIP_LEVEL, mtime=0), "gzip"
        return Response(body, headers=headers)

    def text(self, *, openmetrics: bool = False) -> str:
        """The page as it is committed now."""
        with self._one_at_a_time:
            return self._text(openmetrics)


def prefers_openmetrics(accept: str) -> bool:
    """Whether an Accept header gives OpenMetrics at least the weight of plain text; who asks for neither gets text."""
    weights = dict.fromkeys(("application/openmetrics-text", "text/plain"), 0.0)
    for part in accept.lower().split(","):
        kind, _, parameters = part.partition(";")
        if kind.strip() in weights:
            weights[kind.strip()] = max(weights[kind.strip()], _weight(parameters))
    return 0.0 < weights["application/openmetrics-text"] >= weights["text/plain"]


def _weight(parameters: str) -> float:
    """The `q` of RFC 9110, section 12.4.2; 1 where there is none or it is no number."""
    found = re.search(r"(?:^|;)\s*q=([01](?:\.\d{1,3})?)\s*(?:;|$)", parameters)
    return float(found[1]) if found else 1.0
