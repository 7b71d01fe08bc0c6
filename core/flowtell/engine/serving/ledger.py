"""What a serving process has promised, on disk: up to where due times were answered, and runs that have not ended.

One file a deployment, replaced whole and synced, under a lock that one process holds: whoever comes next, after a kill or
beside it, begins where the last stood. A run is claimed in the same write in which its due time counts as answered.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple, Self

import msgspec

from flowtell.decoders import decoder
from flowtell.engine.kept_file import KeptFile, holder_of, path_for
from flowtell.errors import BadDeployment
from flowtell.events import Schedule
from flowtell.machine import is_locked

FOLDER = "deployments"


class Claim(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run that is to start, or runs."""

    due: int | None
    """None where it answers no due time: somebody wanted it."""
    start: int
    """When it may start, in µs: its due time and its jitter, or when it was wanted."""
    missed: bool = False
    parameters: dict[str, Any] = {}
    """Over those of the deployment."""
    cause: str = ""
    caused_by: str = ""
    hops: int = 0

    @property
    def moment(self) -> int:
        """What its events' ids derive from."""
        return self.start if self.due is None else self.due


class Card(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """Which deployment a ledger is of, for whoever lists them."""

    flow: str = ""
    deployment: str = ""
    environment: str = ""
    schedules: tuple[Schedule, ...] = ()
    paused: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.flow}/{self.deployment}"


class _Page(msgspec.Struct, kw_only=True, omit_defaults=True):
    card: Card = Card()
    answered: dict[str, int] = {}
    """By a schedule's id the moment up to which its due times were answered."""
    claims: dict[str, Claim] = {}
    """By run."""


class Ledger:
    """Held from `take` to `close`, or until the process ends, however it ends."""

    def __init__(self, file: KeptFile) -> None:
        self.path, self._file = file.path, file
        self._page = _read(file.path)

    @classmethod
    def take(cls, home: str, environment: str, full_name: str) -> Self | None:
        """The deployment's ledger; None while another process serves it.

        Raises:
            BadDeployment: the home takes no file.
        """
        path = ledger_path(home, environment, full_name)
        try:
            file = KeptFile.take(path)
        except OSError as error:
            raise BadDeployment(full_name, f"its ledger {path} cannot be written ({error.strerror})") from error
        return None if file is None else cls(file)

    @property
    def answered(self) -> dict[str, int]:
        return self._page.answered

    @property
    def claims(self) -> dict[str, Claim]:
        return self._page.claims

    def describe(self, card: Card) -> None:
        """Say whose ledger it is. Saved with the rest."""
        self._page.card = card

    def save(self) -> None:
        """Make what was changed last.

        Raises:
            OSError: the disk did not take it; what was changed is undone, so that nothing counts that is not written.
        """
        try:
            self._file.replace(msgspec.json.encode(self._page))
        except OSError:
            self._page = _read(self.path)
            raise

    def mark_path(self, run: str) -> str:
        """The file that the run's process locks."""
        return f"{self.path.removesuffix('.json')}-{run}.run"

    def close(self) -> None:
        self._file.close()


def ledger_path(home: str, environment: str, full_name: str) -> str:
    return path_for(os.path.join(home, FOLDER), full_name, environment, full_name)


class Listed(NamedTuple):
    """A deployment of this home."""

    card: Card
    pid: str
    """Of the process that serves it; empty where none does."""


def list_ledgers(home: str) -> list[Listed]:
    """All that were served from this home, by name."""
    folder = os.path.join(home, FOLDER)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    paths = [os.path.join(folder, name) for name in names if name.endswith(".json")]
    found = [Listed(_read(path).card, holder_of(path) if is_locked(f"{path}.lock") else "") for path in paths]
    return sorted((one for one in found if one.card.flow), key=lambda one: (one.card.full_name, one.card.environment))


def remove_ledger(home: str, card: Card) -> bool:
    """Forget the deployment, with what waits in it. False while a process serves it."""
    ledger = Ledger.take(home, card.environment, card.full_name)
    if ledger is None:
        return False
    folder, own = os.path.split(ledger.path)
    try:
        for name in os.listdir(folder):
            if name.startswith(own.removesuffix(".json")):
                os.unlink(os.path.join(folder, name))
    finally:
        ledger.close()
    return True


class _Claimed(msgspec.Struct):
    claims: dict[str, Any] = {}


def has_claim(path: str, run: str) -> bool:
    """Whether the file, which another process keeps, claims this run as one that has not ended."""
    try:
        with open(path, "rb") as file:
            return run in decoder(_Claimed)(file.read()).claims
    except FileNotFoundError:
        return False


def _read(path: str) -> _Page:
    try:
        with open(path, "rb") as file:
            return decoder(_Page)(file.read())
    except FileNotFoundError:
        return _Page(answered={}, claims={})
