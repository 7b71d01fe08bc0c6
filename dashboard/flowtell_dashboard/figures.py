"""Amounts as people read them."""

from __future__ import annotations

from typing import Final

_STEP: Final = 1024.0


def size(amount: int | None) -> str:
    """Bytes in the largest unit that leaves a whole part: 143 MB."""
    if amount is None:
        return ""
    value = float(amount)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _STEP:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} TB"


def seconds(amount: float | None) -> str:
    """Seconds of work, as of a processor."""
    return "" if amount is None else f"{amount:.3g} s" if amount < 1 else f"{amount:,.1f} s"
