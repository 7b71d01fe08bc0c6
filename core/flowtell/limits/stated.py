"""Limits that somebody states beside the code: by `flowtell limits set`, kept in the home, and in the configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import msgspec

from flowtell.errors import BadLimit
from flowtell.limits.names import checked_limit, checked_name

FILE: Final = "stated.json"
_decode: Final = msgspec.json.Decoder(dict[str, int]).decode


class Stated:
    """What `flowtell limits set` said in this home. Read again when the file has changed."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._path = os.path.join(folder, FILE)
        self._stamp: tuple[int, int] | None = None
        self._limits: dict[str, int] = {}

    def limits(self) -> Mapping[str, int]:
        """By name, as they stand now; one look at the file's number and time."""
        try:
            found = os.stat(self._path)
        except OSError:
            self._stamp, self._limits = None, {}
            return self._limits
        stamp = found.st_ino, found.st_mtime_ns
        if stamp != self._stamp:
            self._limits, self._stamp = self._read(), stamp
        return self._limits

    def _read(self) -> dict[str, int]:
        try:
            with open(self._path, "rb") as file:
                return _decode(file.read())
        except (OSError, msgspec.MsgspecError):
            return {}

    def set(self, name: str, limit: int) -> None:
        """State one; it holds for all who ask from now on, those who wait among them.

        Raises:
            BadLimit: its name or number cannot be.
            OSError: the home takes no file.
        """
        self._write({**self._read(), checked_name(name): checked_limit(name, limit)})

    def clear(self, name: str) -> bool:
        """Take one back: what the configuration or code says holds again. False where none was stated."""
        stated = self._read()
        if stated.pop(name, None) is None:
            return False
        self._write(stated)
        return True

    def _write(self, limits: dict[str, int]) -> None:
        os.makedirs(self._folder, mode=0o770, exist_ok=True)
        with open(f"{self._path}.new", "wb") as file:
            file.write(msgspec.json.encode(dict(sorted(limits.items()))))
        os.replace(f"{self._path}.new", self._path)


def configured(tables: Mapping[str, object]) -> dict[str, int]:
    """The limits of the configuration's tables `[limits.flow]`, `[limits.tag]` and `[limits.name]`, by name.

    Raises:
        BadLimit: a table that there is not, or a number that cannot be.
    """
    found = {}
    for kind, table in tables.items():
        if kind not in ("flow", "tag", "name"):
            raise BadLimit(kind, "write it below [limits.flow], [limits.tag] or [limits.name]")
        if not isinstance(table, Mapping):
            raise BadLimit(kind, f"write [limits.{kind}] above its keys")
        for name, limit in table.items():
            full = name if kind == "name" else f"{kind}:{name}"
            found[checked_name(full)] = checked_limit(full, limit)
    return found
