"""Runs that somebody else than a schedule wants of a served deployment: files in the home, answered by whoever serves.

A want is a file that appears whole. Whoever serves claims the run in the deployment's ledger, writes a word beside the want
and removes it; whoever wants removes the word once it is kept elsewhere. So a kill anywhere loses no run, and begins none
twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any, Final

import msgspec

from flowtell.decoders import decoder

FOLDER: Final = "wanted"
PATH: Final = "/api/wants/ask"
_WANT, _WORD = ".want", ".word"


class WantedRun(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run that is to be."""

    run: str
    time: int
    """When it was asked for, in µs."""
    until: int
    """After it the run is not begun any more."""
    parameters: dict[str, Any] = {}
    cause: str = ""
    caused_by: str = ""
    hops: int = 0


class Word(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What whoever serves made of it."""

    problem: str = ""
    """Why the run does not begin; empty where it does."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A word from elsewhere."""

    deployment: str
    run: str
    word: Word


class Asking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body with which whoever serves elsewhere asks."""

    environment: str = ""
    deployments: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()
    """What became of runs that were brought before."""


class Brought(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer: what waits for a word, each with its deployment."""

    wanted: tuple[tuple[str, WantedRun], ...] = ()


class Wants:
    """What is wanted of one deployment."""

    def __init__(self, home: str, environment: str, full_name: str) -> None:
        self._folder = os.path.join(home, FOLDER)
        self._prefix = blake2b(f"{environment}\x1f{full_name}".encode(), digest_size=8).hexdigest() + "-"

    def ask(self, wanted: WantedRun) -> None:
        """Have it on disk before this returns; nothing where the word on it is there already.

        Raises:
            OSError: the home takes no file.
        """
        os.makedirs(self._folder, mode=0o770, exist_ok=True)
        if self.word(wanted.run) is None:
            _write(self._path(wanted.run, _WANT), wanted)

    def asked(self) -> Iterator[WantedRun]:
        """What waits for a word, the oldest first."""
        for run in self._runs(_WANT):
            found = _read(self._path(run, _WANT), WantedRun)
            if found is not None:
                yield found

    def is_asked(self, run: str) -> bool:
        return os.path.exists(self._path(run, _WANT))

    def words(self) -> Iterator[tuple[str, Word]]:
        """What was said and is not forgotten, by run."""
        for run in self._runs(_WORD):
            found = self.word(run)
            if found is not None:
                yield run, found

    def _runs(self, kind: str) -> list[str]:
        names = [name for name in _names(self._folder) if name.startswith(self._prefix) and name.endswith(kind)]
        return sorted(name[len(self._prefix) : -len(kind)] for name in names)

    def say(self, run: str, word: Word) -> None:
        """Answer, and want it no more.

        Raises:
            OSError: the home takes no file; it is still wanted.
        """
        _write(self._path(run, _WORD), word)
        _remove(self._path(run, _WANT))

    def word(self, run: str) -> Word | None:
        found: Word | None = _read(self._path(run, _WORD), Word)
        return found

    def forget(self, run: str) -> None:
        """First the want: one without a word would be begun."""
        _remove(self._path(run, _WANT))
        _remove(self._path(run, _WORD))

    def _path(self, run: str, kind: str) -> str:
        return os.path.join(self._folder, f"{self._prefix}{run}{kind}")


def wants_of(home: str) -> frozenset[str]:
    """Names of all wants of the home: whoever serves looks again when there is a new one."""
    return frozenset(name for name in _names(os.path.join(home, FOLDER)) if name.endswith(_WANT))


def _names(folder: str) -> Iterable[str]:
    try:
        return os.listdir(folder)
    except OSError:  # none was ever wanted
        return ()


def _write(path: str, value: msgspec.Struct) -> None:
    with open(f"{path}.new", "wb") as file:
        file.write(msgspec.json.encode(value))
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)


def _read(path: str, kind: type[Any]) -> Any:
    try:
        with open(path, "rb") as file:
            return decoder(kind)(file.read())
    except (OSError, msgspec.MsgspecError):
        return None


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


__all__ = ["FOLDER", "PATH", "Asking", "Brought", "Said", "WantedRun", "Wants", "Word", "wants_of"]
