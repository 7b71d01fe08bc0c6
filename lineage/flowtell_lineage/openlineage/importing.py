"""`flowtell import openlineage`: events that others wrote into files, read in as if they had been sent here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from cyclopts import Parameter
from cyclopts.types import ExistingPath

from flowtell.cli.options import Json
from flowtell.cli.progress import Advance, progress_bar
from flowtell.cli.session import Session, open_session

_BATCH: Final = 500
_SHOWN: Final = 10

Files = Annotated[
    list[ExistingPath],
    Parameter(help="Files with one event a line, one event, or an array of them; of a folder every *.json and *.jsonl."),
]


class Piece(NamedTuple):
    """One event, or what could not be read, and where it stands."""

    place: str
    value: Any
    problem: str = ""


def openlineage(files: Files, /, *, json: Json = False) -> int:
    """Bring in OpenLineage events from files. What is in already is not added again.

    The exit code is 1 where a part of them was no event; the others are kept.
    """
    paths = list(_named(files))
    with open_session(json=json) as session, progress_bar(session, "OpenLineage", bytes=True) as advance:
        taken, refused = _take_all(session, paths, advance)
        if json:
            session.print_json({"files": len(paths), "events": taken, "refused": refused})
            return 1 if refused else 0
        session.print_facts([("files", f"{len(paths):,}"), ("events", f"{taken:,}"), ("refused", f"{len(refused):,}")])
        for line in refused[:_SHOWN]:
            session.say(line)
        return 1 if refused else 0


def _take_all(session: Session, paths: list[Path], advance: Advance) -> tuple[int, list[str]]:
    from flowtell_lineage.openlineage.receiving.receiver import Receiver

    receiver = Receiver(session.config.home, session.config["environment"], session.store.log, session.read)
    total, done, taken = sum(path.stat().st_size for path in paths), 0, 0
    refused: list[str] = []
    try:
        for path in paths:
            for batch in _batches(path):
                broken = _keep(receiver, batch)
                refused += broken
                taken += len(batch) - len(broken)
            done += path.stat().st_size
            advance(done, total)
    finally:
        receiver.close()
    return taken, refused


def _keep(receiver: Any, batch: list[Piece]) -> list[str]:
    """Take what can be taken of a batch; returns the others, with their places."""
    whole = [piece for piece in batch if not piece.problem]
    broken = [f"{piece.place}: {piece.problem}" for piece in batch if piece.problem]
    refused = receiver.take_all([piece.value for piece in whole])
    return [*broken, *(f"{whole[one.index].place}: {one.reason}" for one in refused)]


def _named(files: list[Path]) -> Iterator[Path]:
    for path in files:
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*") if one.suffix in (".json", ".jsonl", ".ndjson"))
        else:
            yield path


def _batches(path: Path) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    for piece in _pieces(path):
        batch.append(piece)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _pieces(path: Path) -> Iterator[Piece]:
    """A file of lines is read line by line, however long; another at once."""
    with path.open("rb") as lines:
        first = next((line for line in lines if line.strip()), b"")
        lines.seek(0)
        if first and _decoded(first) is not _BROKEN and not first.lstrip().startswith(b"["):
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _piece(f"{path}:{number}", line)
            return
        whole = _piece(str(path), lines.read())
    values = whole.value if isinstance(whole.value, list) else [whole.value]
    yield from [whole] if whole.problem else (Piece(f"{path}[{place}]", value) for place, value in enumerate(values))


_BROKEN: Final = object()


def _decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return _BROKEN


def _piece(place: str, text: bytes) -> Piece:
    value = _decoded(text)
    return Piece(place, None, "is no JSON") if value is _BROKEN else Piece(place, value)
