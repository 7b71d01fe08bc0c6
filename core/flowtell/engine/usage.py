"""What a run has used: CPU seconds, and the process's peak memory.

A task may take ten microseconds, and asking the system costs one each time. So a reading serves a moment longer: within
`_FRESH_NS` of it, peak memory is taken as unchanged and a thread as having computed ever since.
"""

from __future__ import annotations

import sys
from _thread import _local  # what threading.local is, without loading threading
from functools import cache
from os import getpid
from resource import RUSAGE_SELF, getrusage
from time import perf_counter_ns, thread_time_ns
from typing import Final

_FRESH_NS: Final = 100_000
_PEAK_UNIT: Final = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes on macOS, kilobytes on Linux


class _Readings(_local):
    """The last ones of this thread: when by `perf_counter_ns`, and what."""

    cpu: tuple[int, int] = (-_FRESH_NS, 0)
    peak: tuple[int, int | None] = (-_FRESH_NS, None)


_last = _Readings()


def thread_cpu_ns(now: int) -> int:
    """CPU time of this thread at `now`, exact to 0.1 ms."""
    at, cpu = _last.cpu
    if now - at < _FRESH_NS:
        return cpu + now - at
    cpu = thread_time_ns()
    _last.cpu = perf_counter_ns(), cpu
    return cpu


def peak_memory(now: int) -> int | None:
    """The most memory that this process has held at once, in bytes; None while only its parent's is known."""
    at, peak = _last.peak
    if now - at >= _FRESH_NS:
        kept = getrusage(RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
        peak = kept if kept > _inherited(getpid()) else None
        _last.peak = now, peak
    return peak


@cache
def _inherited(_process: int) -> int:
    """What the kernel handed on: Linux keeps `ru_maxrss` over exec, so a small child of a large parent has its peak."""
    try:
        with open("/proc/self/status", "rb") as file:
            own = next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"VmHWM:"))
    except (OSError, StopIteration):
        return 0
    kept = getrusage(RUSAGE_SELF).ru_maxrss * _PEAK_UNIT
    return kept if kept > own else 0
