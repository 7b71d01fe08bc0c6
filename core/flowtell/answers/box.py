"""The box of one run: a file in the home to which answers are appended, and in which the run says what it made of each.

Nobody has to be there: an answer waits on disk until the run looks, and a run that is begun again, as its process died while
it was paused, finds what it was told before. A line begins with a newline too, so that a torn one spoils no other.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

import msgspec

from flowtell.decoders import decoder
from flowtell.errors import BoxFull

FOLDER: Final = "answers"
LARGEST: Final = 16 << 20
"""Bytes of one run's box."""
_KEPT_SECONDS: Final = 90 * 86_400.0
"""How long the box of a run is kept that nobody looks into: what a killed process left."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with an answer, and in which field; empty for the answer as a whole."""

    problem: str
    field: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. `asked`, `taken` and `refused` are the run's words, `given` and `cancelled` somebody else's."""

    kind: Literal["asked", "given", "taken", "refused", "cancelled"]
    key: str = ""
    id: str = ""
    """Of the answer: whoever gave it looks for what became of it."""
    answer: Any = None
    actor: str = ""
    time: int = 0
    until: int | None = None
    problems: tuple[Problem, ...] = ()


class Told(NamedTuple):
    """Lines from a place on, and where the next begin."""

    lines: tuple[Line, ...]
    place: int


class Box:
    """One run's. Thread-safe: a line is one write."""

    def __init__(self, home: str, run: str) -> None:
        self.folder = os.path.join(home, FOLDER)
        self.path = os.path.join(self.folder, f"{run}.jsonl")

    def add(self, line: Line) -> None:
        """Append it, and have it on disk before this returns.

        Raises:
            OSError: the disk did not take it.
            BoxFull: others have written more than a run is ever told.
        """
        os.makedirs(self.folder, mode=0o770, exist_ok=True)
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o660)
        try:
            text = b"\n" + msgspec.json.encode(line) + b"\n"
            if os.fstat(fd).st_size + len(text) > LARGEST:
                raise BoxFull(self.path, LARGEST)
            if os.write(fd, text) != len(text):
                raise OSError(f"{self.path} did not take a whole line")
            os.fsync(fd)
        finally:
            os.close(fd)

    def read(self, place: int = 0) -> Told:
        """What was written from `place` on; nothing where there is no box, or nothing new. Another box is read whole."""
        try:
            size = os.stat(self.path).st_size
            if size == place:
                return Told((), place)
            place = place if place < size else 0
            with open(self.path, "rb") as file:
                file.seek(place)
                whole, newline, _ = file.read(LARGEST).rpartition(b"\n")
        except OSError:
            return Told((), 0)
        return Told(tuple(_lines(whole)), place + len(whole) + len(newline))

    def exists(self) -> bool:
        return os.path.exists(self.path)

    def remove(self) -> None:
        try:
            os.unlink(self.path)
        except OSError:
            pass

    @property
    def is_settled(self) -> bool:
        """Whether a run elsewhere has said something about all that it was given; one of this home keeps its box itself."""
        lines = self.read().lines
        said = {line.id for line in lines if line.kind in ("taken", "refused")}
        return all(line.kind != "asked" and line.id in said for line in lines)

    def sweep(self) -> None:
        """Remove the boxes of this home that nobody has written to for three months."""
        oldest = time.time() - _KEPT_SECONDS
        try:
            old = [entry.path for entry in os.scandir(self.folder) if entry.stat().st_mtime < oldest]
            for path in old:
                os.unlink(path)
        except OSError:  # none was ever written, or somebody else sweeps
            pass


def _lines(whole: bytes) -> Iterator[Line]:
    for text in whole.splitlines():
        try:
            yield decoder(Line)(text)
        except (
            msgspec.MsgspecError,
            UnicodeError,
            RecursionError,
        ):  # empty ones in between, a torn one
            continue
