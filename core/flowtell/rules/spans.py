"""Spans of time as people write them."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def seconds(span: str | float) -> float:
    """Seconds of a span such as `"90s"`, `"30m"`, `"1h 15m"`, or of a number of seconds.

    Raises:
        ValueError: negative, or not of that form.
    """
    if isinstance(span, int | float) and not isinstance(span, bool):
        value = float(span)
    else:
        pieces = _PIECE.findall(str(span))
        if not pieces or _PIECE.sub("", str(span)).strip():
            raise ValueError(f"{span!r} is no span of time; write '90s', '30m' or '1h 15m', or a number of seconds")
        value = sum(float(number) * _UNITS[unit] for number, unit in pieces)
    if value < 0:
        raise ValueError(f"{span!r} is negative")
    return value
