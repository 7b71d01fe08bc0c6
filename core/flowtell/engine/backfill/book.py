"""What of a back-fill is done, on disk: whoever calls it again by its name goes on where the last stood.

A run is claimed before its process starts and begins only while it is claimed: a kill in between loses and doubles none.
"""

from __future__ import annotations

import os
from typing import Self

import msgspec

from flowtell.decoders import decoder
from flowtell.engine.kept_file import KeptFile, holder_of, path_for
from flowtell.errors import BackfillGoesOn, BadBackfill

FOLDER = "backfills"


class _Page(msgspec.Struct, kw_only=True, omit_defaults=True):
    flow: str = ""
    name: str = ""
    done: dict[str, str] = {}
    """By a case's key the run that completed."""
    claims: dict[str, str] = {}
    """By run the key of its case."""


class Book:
    """Held from `take` to `close`, or until the process ends, however it ends."""

    def __init__(self, file: KeptFile) -> None:
        self.path, self._file = file.path, file
        self._page = _read(file.path)

    @classmethod
    def take(cls, home: str, environment: str, flow: str, name: str) -> Self:
        """The book of this back-fill.

        Raises:
            BackfillGoesOn: another process has it.
            BadBackfill: the home takes no file.
        """
        path = path_for(os.path.join(home, FOLDER), f"{flow} {name}", environment, flow, name)
        try:
            file = KeptFile.take(path)
        except OSError as error:
            raise BadBackfill(flow, f"what is done cannot be written to {path} ({error.strerror})") from error
        if file is None:
            raise BackfillGoesOn(name, holder_of(path))
        book = cls(file)
        book._page.flow, book._page.name = flow, name
        return book

    @property
    def name(self) -> str:
        return self._page.name

    @property
    def done(self) -> dict[str, str]:
        return self._page.done

    @property
    def claims(self) -> dict[str, str]:
        return dict(self._page.claims)

    def forget(self) -> None:
        """As if nothing had been done."""
        self._page.done = {}
        self._save()

    def claim(self, run: str, case: str) -> None:
        self._page.claims[run] = case
        self._save()

    def settle(self, run: str, *, done: bool) -> None:
        """The run has ended; `done`: its case is not to be run again."""
        case = self._page.claims.pop(run)
        if done:
            self._page.done[case] = run
        self._save()

    def mark_path(self, run: str) -> str:
        """The file that the run's process locks."""
        return f"{self.path.removesuffix('.json')}-{run}.run"

    def _save(self) -> None:
        self._file.replace(msgspec.json.encode(self._page))

    def close(self) -> None:
        self._file.close()


def _read(path: str) -> _Page:
    try:
        with open(path, "rb") as file:
            return decoder(_Page)(file.read())
    except FileNotFoundError:
        return _Page(done={}, claims={})
