"""Frames on a stream socket: four bytes of length, then as many of content."""

from __future__ import annotations

import socket
import struct
import time
from typing import Final

_LENGTH: Final = struct.Struct(">I")
LONGEST: Final = 128 << 20
"""Bytes of one frame: four times what the texts of a write set may have."""
_CHUNK: Final = 1 << 18


class PipeEnded(Exception):
    """The other side is gone."""


class FrameTooLong(Exception):
    """The other side began a frame longer than any that is taken."""


def framed(content: bytes) -> list[bytes]:
    """What to send, in parts."""
    return [_LENGTH.pack(len(content)), content]


def send(pipe: socket.socket, content: bytes, until: float = float("inf")) -> None:
    """Send one frame, by the monotonic moment `until`.

    Raises:
        TimeoutError: the other side did not read in time.
        PipeEnded: it is gone.
    """
    try:
        for part in framed(content):
            pipe.settimeout(None if until == float("inf") else max(until - time.monotonic(), 0.001))
            pipe.sendall(part)
    except TimeoutError:
        raise
    except OSError as error:
        raise PipeEnded from error


class FrameReader:
    """Takes what a socket has, gives whole frames."""

    def __init__(self, pipe: socket.socket) -> None:
        self._pipe = pipe
        self._held = bytearray()

    def fill(self) -> None:
        """Read once, blocking as the socket does.

        Raises:
            PipeEnded: the other side is gone.
        """
        try:
            data = self._pipe.recv(_CHUNK)
        except (BlockingIOError, TimeoutError):
            return
        except OSError as error:
            raise PipeEnded from error
        if not data:
            raise PipeEnded
        self._held += data

    def take(self) -> bytes | None:
        """The next frame if all of it is here.

        Raises:
            FrameTooLong: it is longer than any that is taken.
        """
        if len(self._held) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._held)
        if length > LONGEST:
            raise FrameTooLong
        end = _LENGTH.size + length
        if len(self._held) < end:
            return None
        frame = bytes(memoryview(self._held)[_LENGTH.size : end])
        del self._held[:end]
        return frame

    def next(self) -> bytes:
        """The next frame, waiting for it."""
        while (frame := self.take()) is None:
            self.fill()
        return frame
