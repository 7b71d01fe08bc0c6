"""One HTTP request and its answer's status, the whole of it bounded in time: what a channel that speaks HTTP needs."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from flowtell_alerts._backoff import MAX_RETRY_AFTER
from flowtell_alerts.channels import ChannelError

_TRANSIENT: Final = frozenset({408, 425, 429})


class Exchange:
    """One address. It may hold a secret in its path, so neither errors nor `repr` show more than the host.

    A 2xx answer is success. 5xx, 408, 425 and 429 come again, as do a refused connection and a time-out. Any other
    answer is permanent, a redirect too: what holds a secret is not followed elsewhere. No answer's body is read.
    """

    def __init__(self, channel: str, url: str, timeout: float, *, context: ssl.SSLContext | None = None) -> None:
        """`context` says whom to trust, where that is not the system's word."""
        self._channel, self._url, self._timeout = channel, url, timeout
        self._host = urlsplit(url).hostname
        self._line = _Line()
        # Without urllib's processors for errors and redirects every answer comes back as it is.
        self._opener = urllib.request.OpenerDirector()
        for handler in (urllib.request.ProxyHandler(), _Http(self._line), _Https(self._line, context)):
            self._opener.add_handler(handler)

    def __repr__(self) -> str:
        return f"Exchange({self._host})"

    def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send it and read the answer's status.

        Raises:
            ChannelError: anything but success.
        """
        self._ask("POST", body, headers)

    def get(self) -> None:
        """Ask for it and read the answer's status.

        Raises:
            ChannelError: anything but success.
        """
        self._ask("GET", None, {})

    def _ask(self, method: str, body: bytes | None, headers: Mapping[str, str]) -> None:
        request = urllib.request.Request(  # noqa: S310  # the scheme was checked
            self._url, data=body, method=method, headers={"User-Agent": "flowtell", **headers}
        )
        with self._line.cut_after(self._timeout), self._answer(request) as answer:
            self._judge(answer.status, answer.headers.get("Retry-After", ""))

    @contextlib.contextmanager
    def _answer(self, request: urllib.request.Request) -> Iterator[Any]:
        try:
            answer = self._opener.open(request, timeout=self._timeout)
        except (OSError, http.client.HTTPException) as error:
            raise ChannelError(self._channel, f"{self._host} {problem_of(error)}", permanent=False) from None
        with answer:
            if self._line.was_cut:  # what had come so far may look like a whole answer
                raise ChannelError(self._channel, f"{self._host} did not answer in time", permanent=False)
            yield answer

    def _judge(self, status: int, retry_after: str) -> None:
        if not 200 <= status < 300:
            raise refusal(self._channel, str(self._host), status, retry_after)

    def close(self) -> None:
        self._opener.close()


def refusal(channel: str, host: str, status: int, retry_after: str = "", why: str = "") -> ChannelError:
    """What a status that is no success means: whether to try again, and when."""
    transient = status >= 500 or status in _TRANSIENT
    wait = seconds_of(retry_after, time.time()) if transient else 0.0
    told = f"{host} answered {status}{f' ({why})' if why else ''}"
    return ChannelError(channel, told, permanent=not transient, retry_after=wait)


def problem_of(error: BaseException) -> str:
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
    def __init__(self, line: _Line, context: ssl.SSLContext | None) -> None:
        super().__init__(context=context)
        self._watched, self._trusted = line, context

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_watched(http.client.HTTPSConnection, self._watched), request, context=self._trusted)


def _watched(connection: type[http.client.HTTPConnection], line: _Line) -> Any:
    """The connection's class, its socket shown to `line` as soon as there is one."""

    class Watched(connection):  # type: ignore[valid-type, misc]  # a class that was passed in
        def connect(self) -> None:
            super().connect()
            line.socket = self.sock

    return Watched
