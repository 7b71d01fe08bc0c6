"""How limits are named: `flow:NAME` and `tag:NAME` hold for runs by themselves, any other name for who asks by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flowtell.errors import BadLimit

FLOW: Final = "flow:"
TAG: Final = "tag:"
MOST: Final = 1_000_000
LONGEST: Final = 200


def of_run(flow: str, tags: Iterable[str]) -> list[str]:
    """The names of all limits that a run may be under; `flow` is empty for a task's."""
    return [*([FLOW + flow] if flow else []), *(TAG + tag for tag in tags)]


def checked_name(name: str) -> str:
    """The name, if a limit can have it.

    Raises:
        BadLimit
    """
    bare = name.removeprefix(FLOW).removeprefix(TAG)
    if not bare or len(name) > LONGEST or not name.isprintable() or name != name.strip():
        raise BadLimit(name[:LONGEST], "a name is flow:NAME, tag:NAME or a word of one's own, of at most 200 letters")
    return name


def checked_limit(name: str, limit: object) -> int:
    """The number, if a limit can be that.

    Raises:
        BadLimit
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or not 0 <= limit <= MOST:
        raise BadLimit(name, f"{limit!r} is no whole number from 0 (nothing starts) to {MOST}")
    return limit
