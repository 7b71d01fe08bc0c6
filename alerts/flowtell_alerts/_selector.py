"""Which runs a rule of a configuration file is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

from flowtell.rule_file import SELECTORS


class Watched(Struct, frozen=True, kw_only=True):
    """The runs of one flow in one environment, those of one deployment or those of none."""

    flow: str
    environment: str = ""
    deployment: str = ""
    source: str = ""
    tags: tuple[str, ...] = ()
    """The flow's and the deployment's."""
    owners: tuple[str, ...] = ()

    def values(self, key: str) -> tuple[str, ...]:
        """What a selector's key is compared with: an empty text is no value."""
        several = {"tag": self.tags, "owner": self.owners}
        if key in several:
            return several[key]
        value = getattr(self, key)
        return (value,) if value else ()


def selects(selector: Mapping[str, Any], watched: Watched) -> bool:
    """Whether every key of the selector agrees; one without keys selects all runs.

    A key that this version does not know selects nothing: a rule must not spread because half of it was not understood.
    """
    return all(key in SELECTORS and fits(value, watched.values(key)) for key, value in selector.items())


def fits(given: Any, values: Sequence[str]) -> bool:
    """One of the patterns fits one of the values, or there are none but with `!`; and none with `!` fits any.

    Args:
        given: a pattern or a list of them, as a selector's key holds it; anything else fits nothing.
    """
    patterns = [given] if isinstance(given, str) else given
    if not isinstance(patterns, list | tuple) or not all(isinstance(pattern, str) for pattern in patterns):
        return False
    wanted = [pattern for pattern in patterns if not pattern.startswith("!")]
    unwanted = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    return (not wanted or _any_fits(wanted, values)) and not _any_fits(unwanted, values)


def _any_fits(patterns: Sequence[str], values: Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern) for value in values for pattern in patterns)
