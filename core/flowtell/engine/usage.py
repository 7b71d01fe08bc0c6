"""What a run has used: CPU seconds, and the process's peak memory.

A task may take ten microseconds, and asking the system costs one each time. So a reading serves a moment longer: within
`_FRESH_NS` of it, peak memory is taken as unchanged and a thread as having computed ever since.
"""

from __future__ import annotations

import sys
from _thread import _local  # what threading.local is, without loading threading
from resource import RUSAGE_SELF, getrusage
from time import perf_counter_ns, thread_time_ns
from typing import Final

_FRESH_NS: Final = 100_000
_PEAK_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, kilobytes on Linux


class _Readings(_local):
    """The last ones of this thread: when by `perf_counter_ns`, and what."""

    cpu: tuple[int, int] = (-_FRESH_NS, 0)
    peak: tuple[int, int] = (-_FRESH_NS, 0)


_last = _Readings()


def thread_cpu_ns(now: int) -> int:
    """CPU time of this thread at `now`, exact to 0.1 ms."""
    at, cpu = _last.cpu
    if now - at < _FRESH_NS:
        return cpu + now - at
    cpu = thread_time_ns()
    _last.cpu = perf_counter_ns(), cpu
    return cpu


def peak_memory(now: int) -> int:
    """The most memory that this process has held at once, in bytes."""
    at, peak = _last.peak
    if now - at >= _FRESH_NS:
        peak = getrusage(RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
        _last.peak = now, peak
    return peak
