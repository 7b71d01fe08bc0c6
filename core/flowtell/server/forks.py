"""What a fork of the server lets go of: a plugin may fork, and the fork may outlive the server."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Held(Protocol):
    """A lock or a socket, which lasts as long as any process has it open."""

    def close(self) -> object: ...


_held: weakref.WeakSet[Held] = weakref.WeakSet()
_hook_set = False


def not_for_forks(held: Held) -> None:
    """Close it in every process that is forked from here on."""
    global _hook_set
    _held.add(held)
    if not _hook_set:
        os.register_at_fork(after_in_child=_let_go)
        _hook_set = True


def _let_go() -> None:
    for held in list(_held):
        held.close()
