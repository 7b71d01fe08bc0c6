"""Requests to a server by the standard library's client: one connection, several addresses in turn, every wait bounded."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import msgspec

from flowtell.decoders import decoder
from flowtell.errors import NoServerNamed, ServerUnreachable, ShippingRefused
from flowtell.version import VERSION

if TYPE_CHECKING:
    from http.client import HTTPConnection

T = TypeVar("T")

PATH: Final = "/api/journal"
REQUEST_SECONDS: Final = 10.0
_BOMB_BYTES: Final = 512 << 10
_BOMB_RATIO: Final = 100
_LARGEST_ANSWER: Final = 64 << 10
_LONGEST_RETRY: Final = 60.0
_TRY_THE_NEXT: Final = frozenset({502, 503, 504})
"""Answers of a standby, or of a proxy before a server that is down. Too much at once (429) is no reason to go elsewhere."""


class Receipt(msgspec.Struct, frozen=True):
    """What the server has of a writer, as it answers."""

    place: int = 0
    logged: int = 0
    local: bool = False
    heartbeat: float = 10.0
    error: str = ""


class Address(NamedTuple):
    """Where a server is."""

    url: str
    secure: bool
    host: str
    port: int | None
    prefix: str


def addresses(text: str) -> Sequence[Address]:
    """The addresses of a setting, divided by commas.

    Raises:
        NoServerNamed: none, or one that is no http address.
    """
    found = [_address(part.strip()) for part in text.split(",") if part.strip()]
    if not found:
        raise NoServerNamed
    return found


def _address(url: str) -> Address:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NoServerNamed(url) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NoServerNamed(url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"  # whoever sees it sees no password
    return Address(shown, parts.scheme == "https", parts.hostname, port, parts.path.rstrip("/"))


class Sender:
    """Used by one thread at a time."""

    def __init__(self, urls: str, token: str = "") -> None:
        self._addresses = addresses(urls)
        self._token = token
        self._current = 0
        self._connection: HTTPConnection | None = None
        self.until = float("inf")
        """Moment of the monotonic clock after which nothing is waited for."""

    @property
    def urls(self) -> Sequence[str]:
        """Every address, without passwords."""
        return [address.url for address in self._addresses]

    @property
    def address(self) -> Address:
        """The server that answered last, or that is tried next."""
        return self._addresses[self._current]

    def post(self, query: str, lines: bytes) -> Receipt:
        """Send lines, packed; the receipt of the first server that has one. A 409 is one: it tells the right place.

        Raises:
            ServerUnreachable: nobody answered, or not as a server does.
            ShippingRefused: it answered, and kept nothing.
        """
        body, encoding = _packed(lines)
        headers = {**encoding, "Content-Type": "application/jsonl"}
        return self._in_turn(lambda: self._ask("POST", f"{PATH}?{query}", body, headers, self._receipt))

    def look(self, writer: str) -> Receipt:
        """What the server has of a writer, which is no sign of that one's life.

        Raises:
            ServerUnreachable, ShippingRefused: as `post`; 404 where it has never heard of it.
        """
        return self._in_turn(lambda: self._ask("GET", f"{PATH}?writer={writer}", b"", {}, self._receipt))

    def leave(self, shipper: str) -> None:
        """Tell that this shipper stops, and will be back."""
        self._in_turn(lambda: self._ask("POST", f"{PATH}/leave?shipper={shipper}", b"", {}, self._receipt))

    def exchange(self, path: str, body: bytes, decode: Callable[[bytes], T], *, method: str = "POST") -> T:
        """Send JSON to a path, and the decoded answer of the first server that has one.

        Raises:
            ServerUnreachable, ShippingRefused: as `post`.
        """
        headers = {"Content-Type": "application/json"}
        return self._in_turn(lambda: self._ask(method, path, body, headers, partial(self._answer, decode)))

    def _answer(self, decode: Callable[[bytes], T], status: int, answer: bytes, retry_after: str) -> T:
        if status != 200:
            self._receipt(status, answer, retry_after)  # which raises what it is
            raise ServerUnreachable(self.address.url, f"status {status}")
        try:
            return decode(answer)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise ServerUnreachable(self.address.url, "an answer that is not flowtell's") from error

    def _in_turn(self, ask: Callable[[], T]) -> T:
        """Of several servers the first that takes it; the one that did is asked first from then on."""
        for remaining in reversed(range(len(self._addresses))):
            try:
                return ask()
            except (ServerUnreachable, ShippingRefused) as error:
                if isinstance(error, ShippingRefused) and error.status not in _TRY_THE_NEXT:
                    raise
                self._current = (self._current + 1) % len(self._addresses)
                self.close()
                if not remaining:
                    raise
        raise AssertionError("there is an address")

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes,
        headers: dict[str, str],
        read: Callable[[int, bytes, str], T],
    ) -> T:
        """What `read` makes of status, answer and Retry-After."""
        from http.client import HTTPException

        reused = self._connection is not None
        try:
            status, answer, retry_after = self._exchange(method, path, body, headers)
        except (OSError, HTTPException) as error:
            self.close()
            # the server may have closed it between two requests; asked twice, nothing is added twice
            if reused and not isinstance(error, TimeoutError):
                return self._ask(method, path, body, headers, read)
            raise ServerUnreachable(self.address.url, _reason(error)) from error
        return read(status, answer, retry_after)

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        if self._connection is None:
            self._connection = connect(self.address)
        connection = self._connection
        connection.timeout = min(REQUEST_SECONDS, max(self.until - time.monotonic(), 0.1))
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        connection.request(method, self.address.prefix + path, body, {**headers, **self.headers()})
        response = connection.getresponse()
        answer = response.read(_LARGEST_ANSWER)
        if response.will_close or not response.isclosed():
            self.close()
        return response.status, answer, response.headers.get("Retry-After", "")

    def headers(self) -> dict[str, str]:
        """What every request carries."""
        common = {"User-Agent": f"flowtell/{VERSION}"}
        return {**common, "Authorization": f"Bearer {self._token}"} if self._token else common

    def _receipt(self, status: int, answer: bytes, retry_after: str) -> Receipt:
        try:
            receipt = decoder(Receipt)(answer)
            problem = receipt.error
        except (msgspec.MsgspecError, UnicodeError):
            receipt, problem = None, "an answer that is not flowtell's"
        if status in (200, 409) and receipt is not None:
            return receipt
        if status == 200:
            raise ServerUnreachable(self.address.url, problem)
        raise ShippingRefused(self.address.url, status, _printable(problem), _seconds(retry_after))

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abandon(self) -> None:
        """In a forked child: drop the connection, which is the parent's, without a word on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            let_go(connection.sock)


def _packed(lines: bytes) -> tuple[bytes, dict[str, str]]:
    """The body and its header; as it is where it would pack so well that a server must take it for a bomb."""
    packing = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    body = packing.compress(lines) + packing.flush()
    if len(lines) > _BOMB_BYTES and len(lines) > _BOMB_RATIO * len(body):
        return lines, {}
    return body, {"Content-Encoding": "gzip"}


def connect(address: Address) -> HTTPConnection:
    """A connection, made when it is first used."""
    from http.client import HTTPConnection, HTTPSConnection

    kind = HTTPSConnection if address.secure else HTTPConnection
    return kind(address.host, address.port, timeout=REQUEST_SECONDS)


def let_go(sock: Any) -> None:
    """Close a descriptor that another process has too: neither shut down, nor said good-bye on."""
    if sock is None:
        return
    fd = sock.detach()
    if fd >= 0:
        os.close(fd)


def _reason(error: Exception) -> str:
    return _printable(getattr(error, "strerror", None) or str(error)) or type(error).__name__


def _printable(text: str) -> str:
    """What somebody else's server said, fit for one line on stderr."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:300]).strip()


def _seconds(text: str) -> float:
    return min(float(text), _LONGEST_RETRY) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


class Backoff:
    """How long to wait after a failure: each time about twice as long, spread so that many do not come at once.

    Never so long that a server which is back would take the silence for a death: a third of a heartbeat at the most.
    """

    def __init__(self, first: float = 0.2) -> None:
        self._first = self._next = first

    def fail(self, heartbeat: float, at_least: float = 0.0) -> float:
        """Seconds to wait after one more failure; `at_least` is what the server asked for."""
        longest = heartbeat / 3
        wait = min(max(self._next, at_least), longest)
        self._next = min(self._next * 2, longest)
        return wait * (0.75 + os.urandom(1)[0] / 512)

    def succeed(self) -> None:
        self._next = self._first
