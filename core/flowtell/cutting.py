"""Texts that are cut to a bound: secrets go first, as half of one is not found any more."""

from __future__ import annotations

import sys


def cut(text: str, most: int) -> str:
    """At most so many characters of it."""
    return text if len(text) <= most else whole(text)[:most]


def whole(text: str) -> str:
    """All of it, without any secret of this process."""
    secrets = sys.modules.get("flowtell.secrets")
    return text if secrets is None else str(secrets.hidden(text))
