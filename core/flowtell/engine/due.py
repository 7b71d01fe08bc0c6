"""Whether this process runs one due run, for somebody else who serves, and what that one is told of it."""

from __future__ import annotations

from collections.abc import Callable

is_due_run = False

is_left_paused = False
"""Whether the process ends while its run is paused: the run has not ended, and who serves begins it again."""

on_paused: Callable[[bool], None] | None = None
"""Told when the run begins to wait for an answer, and nothing else goes on in it, and when it does so no more."""


def say_paused(paused: bool) -> None:
    """Tell who serves, if somebody does."""
    if on_paused is not None:
        on_paused(paused)
