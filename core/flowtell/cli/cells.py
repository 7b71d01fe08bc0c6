"""What stands in one place of a table: short and coloured on a terminal, whole and plain in a pipe."""

from __future__ import annotations

import time
from typing import Final, NamedTuple

from flowtell.moments import lasting

SECOND: Final = 1_000_000


class Cell(NamedTuple):
    """One value, for a program and for a person."""

    plain: str
    shown: str
    style: str = ""
    """A style of rich, such as `bold red`."""
    right: bool = False
    whole: bool = True
    """Never cut to fit a narrow terminal."""


Value = Cell | str | int | float | None

STATES: Final = {
    "scheduled": ("◷", "blue"),
    "late": ("◷", "yellow"),
    "pending": ("○", "blue"),
    "waiting": ("◌", "blue"),
    "running": ("▶", "cyan"),
    "retrying": ("↻", "yellow"),
    "paused": ("Ⅱ", "yellow"),
    "cancelling": ("◼", "yellow"),
    "completed": ("✔", "green"),
    "cached": ("✔", "green"),
    "failed": ("✘", "red"),
    "timed_out": ("✘", "red"),
    "crashed": ("✘", "bold red"),
    "cancelled": ("◼", "magenta"),
    "skipped": ("-", "dim"),
}
"""Each state's sign, so that it can be told without colour, and its colour."""


def state(name: str) -> Cell:
    sign, style = STATES.get(name, ("?", ""))
    return Cell(name, f"{sign} {name.replace('_', ' ')}", style)


def short_id(run: str) -> Cell:
    """Eight digits that name a run and go into every command: of an id's digits only these are random from the first."""
    return Cell(run, run[16:24] or run, "bold")


def moment(us: int | None) -> Cell:
    """ISO 8601, UTC, for a program; local time, with its date unless that is today, for a person."""
    if us is None:
        return Cell("", "")
    seconds, rest = divmod(us, SECOND)
    there = time.localtime(seconds)
    today = there[:3] == time.localtime()[:3]
    plain = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:06d}Z"
    return Cell(plain, time.strftime("%H:%M:%S" if today else "%Y-%m-%d %H:%M", there), "dim")


def span(seconds: float | None, style: str = "") -> Cell:
    """Seconds for a program, the two largest units for a person."""
    if seconds is None:
        return Cell("", "")
    return Cell(f"{seconds:.6g}", lasting(seconds), style, right=True)


def lasted(started: int | None, ended: int | None, duration: float | None) -> Cell:
    """How long a run took, or takes so far; by its own clock where it said so."""
    if duration is None and started is not None:
        return span((ended or time.time_ns() // 1000) / SECOND - started / SECOND, "" if ended else "cyan")
    return span(duration)


def size(count: float | None) -> Cell:
    """Bytes for a program, a rounded size for a person."""
    if count is None:
        return Cell("", "")
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    shown = f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
    return Cell(f"{count:.0f}", shown, right=True)


def cell(value: Value) -> Cell:
    """A plain value as a cell: text may be cut, a number stands on the right."""
    if isinstance(value, Cell):
        return value
    if isinstance(value, int | float):
        return Cell(str(value), f"{value:,}", right=True)
    text = value or ""
    return Cell(text, text, whole=False)
