"""Whether this process runs one due run, for somebody else who serves, and what that one is told of it."""

from __future__ import annotations

from collections.abc import Callable

is_due_run = False

is_paused = False
"""Whether the run waits for an answer, and nothing else goes on in it."""
is_left_paused = False
"""Whether the process ends meanwhile: the run has not ended, and who serves begins it again."""

on_paused: Callable[[bool], None] | None = None
"""Told of `is_paused`, where somebody serves."""


def say_paused(paused: bool) -> None:
    """The run begins to wait, or waits no more."""
    global is_paused
    if on_paused is not None:
        on_paused(paused)
        is_paused = paused
