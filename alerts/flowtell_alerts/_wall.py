"""Moments as a clock on a wall shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


def shown(moment: int, tz: str = "") -> str:
    """Such as `2026-11-25 02:00 CET`; in UTC where no zone is named or there is none of that name."""
    try:
        zone = ZoneInfo(tz) if tz and tz != "UTC" else UTC
    except (KeyError, ValueError, OSError):  # of a source, on a machine that has another database of zones
        zone = UTC
    at = datetime.fromtimestamp(moment / 1e6, zone)
    return at.strftime("%Y-%m-%d %H:%M:%S %Z" if at.second else "%Y-%m-%d %H:%M %Z")
