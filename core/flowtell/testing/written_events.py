"""What has been written into the journals of a home so far, by this process and by those that it began."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from pathlib import Path

import msgspec

from flowtell.events import Event, decode
from flowtell.journal import FOLDER, SUFFIX, decode_header


class WrittenEvents:
    """Reads on from where it was; what it has read stays, even where a journal is deleted."""

    def __init__(self, home: str) -> None:
        self._folder = Path(home, FOLDER)
        self._places: dict[str, int] = {}
        self._environments: dict[str, str] = {}
        self._read: dict[str, list[Event]] = {}

    def all(self) -> list[Event]:
        """In the order of each writer, and of their times where there are several."""
        for path in sorted(self._folder.glob(f"[!.]*{SUFFIX}")) if self._folder.is_dir() else ():
            self._read.setdefault(path.name, []).extend(self._new(path))
        lists = list(self._read.values())
        return list(lists[0]) if len(lists) == 1 else list(merge(*lists, key=lambda event: event.time))

    def _new(self, path: Path) -> Iterator[Event]:
        place = self._places.get(path.name, 0)
        try:
            with path.open("rb") as file:
                file.seek(place)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:  # deleted meanwhile
            return
        self._places[path.name] = place + len(whole) + len(newline)
        for line in whole.split(b"\n"):
            if b'"type":"journal.' in line[:40]:
                if header := decode_header(line):
                    self._environments[path.name] = header.environment
            elif line:
                yield self._whole(decode(line), path.name)

    def _whole(self, event: Event, journal: str) -> Event:
        """With what it has from its journal's header."""
        environment = self._environments.get(journal, "")
        if event.environment or not environment:
            return event
        return msgspec.structs.replace(event, environment=environment)


__all__ = ["WrittenEvents"]
