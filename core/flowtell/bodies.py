"""Bodies from outside, bounded: read whole, unpacked, decoded. For every route that takes one.

`unpacked` is pure and takes parts, for a route that streams; `read_body` is for one that wants the whole.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from flowtell.decoders import decoder
from flowtell.errors import BodyMalformed, BodyTooLarge, EncodingUnknown

if TYPE_CHECKING:
    from starlette.requests import Request

T = TypeVar("T")

NESTING: Final = 64
"""How deep JSON may be nested."""
RATIO: Final = 200
"""How many times its size a compressed body may grow to; JSON lines grow to 10 to 40 times."""
RATIO_FROM_BYTES: Final = 32 << 20
"""Up to here it may grow by any ratio: a long line of one letter packs a thousand to one, and must not be lost."""

_PIECE: Final = 65_536
_MEMBERS: Final = 1_000
"""Of one gzip body: an empty member is twenty bytes that cost an object each."""
_RAW: Final = -zlib.MAX_WBITS


class Inflater:
    """Unpacks one body part by part, never more than `limit` bytes in all nor beyond the ratio.

    Args:
        encoding: `gzip` or `deflate`; the latter in a zlib frame (RFC 9110, section 8.4.1.2) or, as some send it, bare.
    """

    def __init__(self, encoding: str, limit: int) -> None:
        self._encoding, self._limit = encoding, limit
        self._member: Any = None
        self._came = self._went = self._members = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What `data` unpacks to, in pieces.

        Raises:
            BodyTooLarge, BodyMalformed
        """
        self._came += len(data)
        while data:
            if self._member is None or self._member.eof:  # gzip may have several members (RFC 1952, section 2.2)
                self._member = self._next_member(data)
            piece, data = self._step(data)
            self._count(len(piece))
            if piece:
                yield piece

    def _next_member(self, data: bytes) -> Any:
        self._members += 1
        if self._members > _MEMBERS:
            raise BodyMalformed(f"it has more than {_MEMBERS} parts")
        return zlib.decompressobj(_window(self._encoding, data, first=self._members == 1))

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        try:
            piece = self._member.decompress(data, _PIECE)
        except zlib.error as error:
            raise BodyMalformed(f"it is no {self._encoding}") from error
        return piece, self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def _count(self, unpacked: int) -> None:
        self._went += unpacked
        if self._went > self._limit or self._went > max(RATIO * self._came, RATIO_FROM_BYTES):
            raise BodyTooLarge(self._limit, "A body, unpacked,")

    def end(self) -> Iterator[bytes]:
        """The rest, once all has been fed.

        Raises:
            BodyTooLarge, BodyMalformed: it broke off.
        """
        while self._member is not None and not self._member.eof:
            piece = self._member.decompress(self._member.unconsumed_tail, _PIECE)
            if not piece:
                raise BodyMalformed(f"its {self._encoding} breaks off")
            self._count(len(piece))
            yield piece


def _window(encoding: str, data: bytes, *, first: bool) -> int:
    if encoding == "gzip":
        return 16 + zlib.MAX_WBITS
    if not first:
        raise BodyMalformed("something follows its deflate")
    framed = data[0] & 0x0F == 8 and data[0] >> 4 <= 7
    return zlib.MAX_WBITS if framed else _RAW


def unpacked(parts: Iterable[bytes], encoding: str, limit: int) -> Iterator[bytes]:
    """The parts of a body without its compression, as they come.

    Args:
        encoding: the `Content-Encoding` header; empty or `identity` for none.
        limit: bytes that it may have unpacked.

    Raises:
        EncodingUnknown, BodyTooLarge, BodyMalformed: while it is read.
    """
    wanted = encoding.strip().lower()
    if wanted in ("", "identity"):
        yield from _counted(parts, limit)
        return
    inflater = Inflater(known_encoding(wanted), limit)
    for part in parts:
        yield from inflater.feed(part)
    yield from inflater.end()


def known_encoding(encoding: str) -> str:
    """`gzip` or `deflate` by any of their names.

    Raises:
        EncodingUnknown: every other one, and two at once.
    """
    known = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}.get(encoding.strip().lower())
    if known is None:
        raise EncodingUnknown(encoding[:40])
    return known


def _counted(parts: Iterable[bytes], limit: int) -> Iterator[bytes]:
    came = 0
    for part in parts:
        came += len(part)
        if came > limit:
            raise BodyTooLarge(limit)
        yield part


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body of a request, unpacked, of at most `limit` bytes both as sent and unpacked.

    Raises:
        BodyRefused: with the status to answer.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    inflater = None if encoding in ("", "identity") else Inflater(known_encoding(encoding), limit)
    came, whole = 0, bytearray()
    async for part in request.stream():
        came += len(part)
        if came > limit:
            raise BodyTooLarge(limit)
        for piece in inflater.feed(part) if inflater else (part,):
            whole += piece
    if inflater:
        for piece in inflater.end():
            whole += piece
    return bytes(whole)


# --- JSON -----------------------------------------------------------------------------------------------------------

_ESCAPED: Final = re.compile(rb"\\.", re.DOTALL)
_STRING: Final = re.compile(rb'"[^"]*"')
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_OTHERS: Final = bytes(byte for byte in range(256) if byte not in b'[]{}"')


def nested_too_deeply(body: bytes, most: int = NESTING) -> bool:
    """Whether JSON is nested deeper than `most`, by its brackets alone, without decoding it.

    For a body that is no JSON the answer says nothing.
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    if b"\\" in body:
        body = _ESCAPED.sub(b"", body)
    brackets = _STRING.sub(b"", body.translate(_BRACKETS, _OTHERS))
    for _ in range(most):
        if b"[" * (most + 1) in brackets:
            return True
        inner = brackets.replace(b"[]", b"")  # the innermost level goes
        if len(inner) == len(brackets):
            return False  # none left, or brackets that never close, which the decoder tells
        brackets = inner
    return bool(brackets)


def decode_json(body: bytes, type: type[T], *, most: int = NESTING) -> T:
    """JSON from outside as `type`.

    Raises:
        BodyMalformed: no JSON, not of that shape, or nested deeper than `most`.
    """
    if nested_too_deeply(body, most):
        raise BodyMalformed(f"JSON is nested deeper than {most}")
    try:
        return decoder(type)(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BodyMalformed(str(error)[:300]) from error
