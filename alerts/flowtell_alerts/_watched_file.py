"""The file that states rules, as it is now against what was declared of it: what is to be told to the log."""

from __future__ import annotations

import os
from collections.abc import Mapping
from logging import Logger
from typing import Final

from msgspec import Struct

from flowtell.errors import ConfigError
from flowtell.events import RuleData
from flowtell.rule_file import StatedRule, read_rules
from flowtell_alerts._declarations import Declared, rule_digest

_LOOK: Final = 1_000_000
"""µs between two looks at the file."""


class Difference(Struct, frozen=True):
    """What the log has not been told yet."""

    new: tuple[StatedRule, ...] = ()
    gone: tuple[tuple[RuleData, str], ...] = ()
    """Rules that the file states no longer, with the place where they stood."""

    def __bool__(self) -> bool:
        return bool(self.new or self.gone)


class WatchedFile:
    """Read when it is first asked for and whenever it has changed; with a slip in it, what was read before holds."""

    def __init__(self, path: str, logger: Logger) -> None:
        self._path, self._logger = path, logger
        self._look_at = 0
        self._seen: tuple[int, ...] | None = None
        self._rules: tuple[StatedRule, ...] | None = None

    def difference(self, declared: Mapping[str, Declared], now: int) -> Difference:
        """Between the file and the rules that are declared, those apart that others declared."""
        self._look(now)
        if self._rules is None:
            return Difference()
        ours = {digest: each for digest, each in declared.items() if each.ours}
        stated = {rule_digest(each.rule): each for each in self._rules}
        new = [each for digest, each in stated.items() if digest not in ours or ours[digest].origin != each.origin[:200]]
        gone = [(each.rules[0], each.origin) for digest, each in ours.items() if digest not in stated]
        return Difference(tuple(new), tuple(gone))

    def _look(self, now: int) -> None:
        if now < self._look_at:
            return
        self._look_at = now + _LOOK
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        try:
            self._rules = read_rules(self._path) if self._path else ()
        except ConfigError as error:
            self._logger.warning("%s The rules that were read before hold.", error)

    def _mark(self) -> tuple[int, ...]:
        try:
            found = os.stat(self._path) if self._path else None
        except OSError:
            return ()
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else (0,)
