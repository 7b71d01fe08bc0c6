"""Requests as the endpoints of this distribution see them, and an ASGI application that finds an endpoint by the path.

Paths are taken apart as they were sent, since a name in them has escaped slashes (`s3%3A%2F%2Flake%2Forders`). Endpoints run
on threads; web libraries are imported at the first request.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import msgspec

from flowtell.errors import BadMoment, FlowtellError, JournalUnwritable
from flowtell_lineage.errors import AssetNotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

LARGEST_PAGE: Final = 1_000
_PLACE: Final = re.compile(r"\{\}")
_TEXT: Final = 2_000
_STATUS: Final[dict[type[FlowtellError], int]] = {AssetNotFound: 404, BadMoment: 400, JournalUnwritable: 503}


class BadQuery(Exception):
    """A parameter that cannot be used; the text says which and why."""


class NotKnown(Exception):
    """What was asked for is not there; the text says what."""


class Asked:
    """The parts of the path that name something, and the query."""

    def __init__(self, names: Sequence[str], query: Any) -> None:
        self.names, self._query = names, query

    def text(self, name: str, default: str = "") -> str:
        return str(self._query.get(name, default))[:_TEXT].replace("\0", "")  # PostgreSQL has no such letter

    def number(self, name: str, default: int, largest: int) -> int:
        given = self.text(name)
        if not given:
            return default
        if not (given.isascii() and given.isdigit() and len(given) < 10):
            raise BadQuery(f"{name} is a whole number")
        return min(int(given), largest)

    def page(self, found: Sequence[Any]) -> Sequence[Any]:
        offset = self.number("offset", 0, 1_000_000)
        return found[offset : offset + self.number("limit", 100, LARGEST_PAGE)]


Endpoint = Callable[[Asked], Any]
"""Answers with what becomes JSON; None is an answer without a body."""


class Routes:
    """Endpoints by method and path below a prefix; `{}` stands for one part of the path.

    Args:
        missing: what is said where nothing is served.
    """

    def __init__(self, prefix: str, table: Iterable[tuple[str, str, Endpoint]], missing: str) -> None:
        self._prefix, self._missing = prefix, missing
        self._table = [(method, _pattern(path), endpoint) for method, path, endpoint in table]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # there is nothing to start, and nothing that would wait for an end
            return
        from starlette.requests import Request

        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        from starlette.concurrency import run_in_threadpool

        found = [
            (method, endpoint, match)
            for method, pattern, endpoint in self._table
            if (match := pattern.fullmatch(_path_below(request, self._prefix)))
        ]
        for method, endpoint, match in found:
            if request.method in (method, "HEAD" if method == "GET" else method):
                asked = Asked([_named(part) for part in match.groups()], request.query_params)
                return await run_in_threadpool(_answered, endpoint, asked)
        if not found:
            return _json(404, {"error": self._missing})
        allowed = ", ".join(dict.fromkeys(method for method, _, _ in found))
        return _json(405, {"error": f"here is answered: {allowed}"}, {"Allow": allowed})


def _path_below(request: Request, prefix: str) -> str:
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    return raw.partition(b"?")[0].decode("ascii", "replace").removeprefix(prefix).strip("/")


def _named(part: str) -> str:
    """A part of a path without its escapes."""
    return unquote(part).replace("\0", "")


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_PLACE.sub("([^/]+)", path))


def _answered(endpoint: Endpoint, asked: Asked) -> Response:
    try:
        value = endpoint(asked)
    except BadQuery as error:
        return _json(400, {"error": str(error)})
    except NotKnown as error:
        return _json(404, {"error": str(error)})
    except FlowtellError as error:
        return _json(_STATUS.get(type(error), 500), {"error": str(error), "code": error.code})
    return _json(200, value) if value is not None else _json(204, None)


def _json(status: int, value: Any, headers: dict[str, str] | None = None) -> Response:
    from starlette.responses import Response

    if value is None:
        return Response(status_code=status, headers=headers)
    return Response(msgspec.json.encode(value), status_code=status, headers=headers, media_type="application/json")


__all__ = ["LARGEST_PAGE", "Asked", "BadQuery", "Endpoint", "NotKnown", "Routes"]
