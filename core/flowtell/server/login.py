"""The browser's way in: `?token=…` in an address becomes a cookie, and the address is asked for again without it."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

COOKIE: Final = "flowtell_token"
_MOST_COOKIES: Final = 4
"""Of this name that are looked at: another site of the same domain may have set one too."""
_PATH_CHARACTERS: Final = "/:@!$&'()*+,;=~-._"


class Login(NamedTuple):
    """A token that is right, and where to go on."""

    token: str
    location: str

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """303 with the cookie: for this host alone, out of reach of scripts and of other sites."""
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{COOKIE}={quote(self.token, safe='')}; Path=/; HttpOnly; SameSite=Strict{secure}"
        headers = {
            "Location": self.location,
            "Set-Cookie": cookie,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
        }
        await Response(status_code=303, headers=headers)(scope, receive, send)


def token_in(query: bytes) -> str:
    """The token in a query; empty where there is none."""
    if b"token=" not in query:
        return ""
    return dict(_pairs(query)).get("token", "")


def without_token(path: str, query: bytes) -> str:
    """The same address on this server without the token; a path of two slashes would be another server's."""
    kept = urlencode([(name, value) for name, value in _pairs(query) if name != "token"])
    place = "/" + quote(path.lstrip("/\\"), safe=_PATH_CHARACTERS, errors="surrogateescape")
    return f"{place}?{kept}" if kept else place


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:  # more fields than that
        return []


def tokens_in(cookie: str) -> list[str]:
    """What may be tokens in a `Cookie` header, whatever else stands there."""
    found = []
    for part in cookie.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and value:
            found.append(unquote(value.strip('"')))
    return found[:_MOST_COOKIES]
