"""The deployments that check in, with their schedules: kept in the home, so that a check-in needs to say it only once."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

import msgspec

from flowtell.check_file import Check
from flowtell.decoders import decoder

FILE: Final = "checks.json"
MOST: Final = 10_000
"""Deployments that check-ins may declare. Beyond that their schedules are used for the check-in alone."""

_Key = tuple[str, str, str]


class _Known(msgspec.Struct, omit_defaults=True):
    check: Check
    stated: bool = False
    """By the configuration."""


_decode: Final = decoder(list[_Known])


class KnownChecks:
    """For one thread at a time."""

    def __init__(self, home: str) -> None:
        self._path = os.path.join(home, FILE)
        self._known = {known.check.key: known for known in self._read()}

    def _read(self) -> list[_Known]:
        try:
            with open(self._path, "rb") as file:
                return _decode(file.read())
        except (OSError, msgspec.MsgspecError):  # none yet, or cut by a power failure: they are declared again
            return []

    def find(self, key: _Key) -> Check | None:
        known = self._known.get(key)
        return known.check if known is not None else None

    def state(self, checks: Iterable[Check]) -> list[Check]:
        """The configuration states these. Returns those that it stated before and does not now."""
        stated = {check.key: _Known(check, stated=True) for check in checks}
        gone = [known.check for key, known in self._known.items() if known.stated and key not in stated]
        for check in gone:
            del self._known[check.key]
        self._known.update(stated)
        return gone

    def is_news(self, check: Check) -> bool:
        """Whether a check-in that declares it changes anything: not where it is known so, or the configuration states it."""
        known = self._known.get(check.key)
        if known is None:
            return len(self._known) < MOST
        return not known.stated and known.check.schedules != check.schedules

    def remember(self, check: Check) -> None:
        """A check-in has declared this one. `save` makes it last."""
        self._known[check.key] = _Known(check)

    def save(self) -> None:
        """Replace the file whole.

        Raises:
            OSError: the disk did not take it.
        """
        with open(f"{self._path}.new", "wb") as file:
            file.write(msgspec.json.encode(list(self._known.values())))
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{self._path}.new", self._path)
