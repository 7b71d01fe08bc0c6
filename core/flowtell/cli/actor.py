"""Who gives a command, as an event names him."""

from __future__ import annotations

import getpass
import os


def actor() -> str:
    """The user's name on this machine, or his number where he has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have a number and no name
        return str(os.getuid())


__all__ = ["actor"]
