"""What a run has used: CPU seconds, and the process's peak memory."""

from __future__ import annotations

import sys
from resource import RUSAGE_SELF, getrusage
from typing import Final

_PEAK_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, kilobytes on Linux


def peak_memory() -> int:
    """The most memory that this process has held at once, in bytes."""
    return getrusage(RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
