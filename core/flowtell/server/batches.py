"""What a shipper sends, taken apart and checked: a journal's header line, then whole lines from a place on."""

from __future__ import annotations

from typing import Final, NamedTuple

from flowtell.bodies import unpacked
from flowtell.ids import is_id
from flowtell.journal import FORMAT, SUFFIX, Header, decode_header

LARGEST_BATCH: Final = 20 << 20
"""Bytes of a request unpacked."""
LARGEST_HEADER: Final = 64 << 10
"""Bytes of a journal's first line, as a reader of the file takes them too."""
_LARGEST_PID: Final = 1 << 31


class BadBatch(Exception):
    """A request that cannot be taken, with its status; nothing of it was kept."""

    def __init__(self, status: int, problem: str) -> None:
        self.status, self.problem = status, problem
        super().__init__(problem)


class Batch(NamedTuple):
    """Lines of one journal."""

    header: Header
    header_line: bytes
    place: int
    """Offset of the first line in the writer's own journal."""
    lines: bytes

    @property
    def file(self) -> str:
        return f"{self.header.writer}-{self.header.pid}{SUFFIX}"


def read_batch(body: bytes, encoding: str, writer: str, place: int) -> Batch:
    """The batch in a request's body.

    Raises:
        BadBatch: cut, forged, of an unknown format.
        BodyRefused: too large, or not packed as it says.
    """
    first, newline, lines = b"".join(unpacked([body], encoding, LARGEST_BATCH)).partition(b"\n")
    if not newline or len(first) >= LARGEST_HEADER:
        raise BadBatch(400, "the body begins with no journal header line")
    header = _header(first, writer)
    if lines and not lines.endswith(b"\n"):
        raise BadBatch(400, "the last line is cut: a batch holds whole lines")
    if place <= len(first):
        raise BadBatch(400, f"place {place} lies in the header line, which is {len(first) + 1} bytes")
    return Batch(header, first + b"\n", place, lines)


def _header(line: bytes, writer: str) -> Header:
    header = decode_header(line)
    if header is None:
        raise BadBatch(400, f"the first line is no journal header of a format up to {FORMAT}")
    if header.writer != writer or not is_id(writer):
        raise BadBatch(400, "the header is of another writer")
    if not 0 <= header.pid < _LARGEST_PID:
        raise BadBatch(400, "the header's pid is none")
    return header
