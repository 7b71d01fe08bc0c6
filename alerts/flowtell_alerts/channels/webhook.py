"""The channel `webhook`: POSTs the message as JSON to one address."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from flowtell.errors import BadValue
from flowtell.events import Receipt
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.message import Message

MAX_RETRY_AFTER: Final = 300.0
"""Seconds that a receiver's Retry-After can put a message off; a larger wish counts as this."""

_TRANSIENT: Final = frozenset({408, 425, 429})


class Webhook:
    """One address. It may hold a secret in its path, so neither errors nor `repr` show more than the host.

    A 2xx answer is success. 5xx, 408, 425 and 429 come again, as do a refused connection and a time-out. Any other
    answer is permanent, a redirect too: what holds a secret is not followed elsewhere. No answer's body is read.
    """

    name = "webhook"

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self._host = _checked(url).hostname
        self._url, self._timeout = url, timeout
        self._line = _Line()
        # Without urllib's processors for errors and redirects every answer comes back as it is.
        self._opener = urllib.request.OpenerDirector()
        for handler in (urllib.request.ProxyHandler(), _Http(self._line), _Https(self._line)):
            self._opener.add_handler(handler)

    def __repr__(self) -> str:
        return f"Webhook({self._host})"

    def send(self, message: Message) -> Receipt:
        request = urllib.request.Request(  # noqa: S310  # the scheme was checked
            self._url,
            data=msgspec.json.encode(message),
            method="POST",
            headers={"Content-Type": "application/json", "Idempotency-Key": message.id, "User-Agent": "flowtell"},
        )
        with self._line.cut_after(self._timeout), self._answer(request) as answer:
            self._judge(answer.status, answer.headers.get("Retry-After", ""))
        return Receipt()

    @contextlib.contextmanager
    def _answer(self, request: urllib.request.Request) -> Iterator[Any]:
        try:
            answer = self._opener.open(request, timeout=self._timeout)
        except (OSError, http.client.HTTPException) as error:
            raise ChannelError(self.name, f"{self._host} {_problem(error)}", permanent=False) from None
        with answer:
            if self._line.was_cut:  # what had come so far may look like a whole answer
                raise ChannelError(self.name, f"{self._host} did not answer in time", permanent=False)
            yield answer

    def _judge(self, status: int, retry_after: str) -> None:
        if 200 <= status < 300:
            return
        transient = status >= 500 or status in _TRANSIENT
        wait = seconds_of(retry_after, time.time()) if transient else 0.0
        raise ChannelError(self.name, f"{self._host} answered {status}", permanent=not transient, retry_after=wait)

    def close(self) -> None:
        self._opener.close()


def _checked(url: str) -> SplitResult:
    """The address, if it is one that can be posted to. The error does not repeat it."""
    key, place = "webhook", "[plugin.notifications]"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise BadValue(key, place, "it is no URL") from None
    if parts.scheme not in ("http", "https"):
        raise BadValue(key, place, "it must begin with https:// or http://")
    if not parts.hostname or not url.isascii() or not url.isprintable() or " " in url:
        raise BadValue(key, place, "it has no host, or characters that a URL cannot have")
    if parts.username is not None:
        raise BadValue(key, place, "a user and password before the host are not sent; put a token into the path")
    return parts


def _problem(error: Exception) -> str:
    """What went wrong in words that hold no address."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "did not answer in time"
    if isinstance(cause, ConnectionRefusedError):
        return "refused the connection"
    return f"cannot be reached ({type(cause).__name__})"


def seconds_of(retry_after: str, now: float) -> float:
    """A Retry-After in seconds or as an HTTP date (RFC 9110, 10.2.3), between 0 and five minutes; 0 for nonsense."""
    try:
        wait = float(retry_after) if retry_after.strip().isdecimal() else _until(retry_after, now)
    except (ValueError, OverflowError):
        return 0.0
    return min(max(wait, 0.0), MAX_RETRY_AFTER)


def _until(date: str, now: float) -> float:
    moment = parsedate_to_datetime(date)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now


# --- a bound on the whole exchange --------------------------------------------------------------------------------


class _Line:
    """The socket in use. urllib's time-out starts anew with each byte, so a slow drip is cut from outside."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None
        self.was_cut = False

    @contextlib.contextmanager
    def cut_after(self, seconds: float) -> Iterator[None]:
        self.was_cut = False
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
            self.socket = None

    def _cut(self) -> None:
        self.was_cut = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._watched = line

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_watched(http.client.HTTPConnection, self._watched), request)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._watched = line

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_watched(http.client.HTTPSConnection, self._watched), request)


def _watched(connection: type[http.client.HTTPConnection], line: _Line) -> Any:
    """The connection's class, its socket shown to `line` as soon as there is one."""

    class Watched(connection):  # type: ignore[valid-type, misc]  # a class that was passed in
        def connect(self) -> None:
            super().connect()
            line.socket = self.sock

    return Watched
