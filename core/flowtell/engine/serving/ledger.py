"""What a serving process has promised, on disk: up to where due times were answered, and runs that have not ended.

One file a deployment, replaced whole and synced, under a lock that one process holds: whoever comes next, after a kill or
beside it, begins where the last stood. A run is claimed in the same write in which its due time counts as answered.
"""

from __future__ import annotations

import fcntl
import os
from typing import NamedTuple, Self

import msgspec

from flowtell.decoders import decoder
from flowtell.errors import BadDeployment
from flowtell.events import Schedule
from flowtell.machine import is_locked

FOLDER = "deployments"


class Claim(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A run that is to start, or runs."""

    due: int
    start: int
    """When it may start, in µs: its due time and its jitter."""
    missed: bool = False


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

    def __init__(self, path: str, lock: int) -> None:
        self.path, self._lock = path, lock
        self._page = _read(path)

    @classmethod
    def take(cls, home: str, environment: str, full_name: str) -> Self | None:
        """The deployment's ledger; None while another process serves it.

        Raises:
            BadDeployment: the home takes no file.
        """
        path = ledger_path(home, environment, full_name)
        try:
            os.makedirs(os.path.dirname(path), mode=0o770, exist_ok=True)
            lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o660)
        except OSError as error:
            raise BadDeployment(full_name, f"its ledger {path} cannot be written ({error.strerror})") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return cls(path, lock)

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
            self._write()
        except OSError:
            self._page = _read(self.path)
            raise

    def _write(self) -> None:
        with open(f"{self.path}.new", "wb") as file:
            file.write(msgspec.json.encode(self._page))
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{self.path}.new", self.path)

    def mark_path(self, run: str) -> str:
        """The file that the run's process locks."""
        return f"{self.path.removesuffix('.json')}-{run}.run"

    def close(self) -> None:
        os.close(self._lock)


def ledger_path(home: str, environment: str, full_name: str) -> str:
    from hashlib import blake2b

    digest = blake2b(f"{environment}\x1f{full_name}".encode(), digest_size=8).hexdigest()
    words = "".join(character if character.isalnum() else "-" for character in full_name)[:60]
    return os.path.join(home, FOLDER, f"{words}-{digest}.json")


def holder_of(path: str) -> str:
    """The pid that last served the deployment, for messages."""
    try:
        with open(f"{path}.lock", encoding="ascii", errors="replace") as file:
            return file.read(20).strip() or "unknown"
    except OSError:
        return "unknown"


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


def has_claim(path: str, run: str) -> bool:
    """Whether the ledger, which another process holds, knows this run as one that has not ended."""
    return run in _read(path).claims


def _read(path: str) -> _Page:
    try:
        with open(path, "rb") as file:
            return decoder(_Page)(file.read())
    except FileNotFoundError:
        return _Page(answered={}, claims={})
