"""What tells this process and machine apart from every other: boot, pid, the process's start, its pid namespace."""

from __future__ import annotations

import os
from typing import NamedTuple


class ProcessMark(NamedTuple):
    """Names one process for ever: a pid is reused, the pair of boot and start time is not."""

    machine: str
    boot: str
    pid: int
    started: int
    """Clock ticks after boot, from /proc/PID/stat; 0 where there is no /proc."""
    namespace: str
    """Pid namespace; pids of another one say nothing here."""


def this_process() -> ProcessMark:
    return ProcessMark(machine_name(), _boot_id(), os.getpid(), _started("self"), _namespace())


def machine_name() -> str:
    return os.uname().nodename  # what gethostname() says, without loading `socket`


def is_gone(mark: ProcessMark) -> bool:
    """Whether the process has certainly ended. False when it lives, and when nothing can be seen of it from here."""
    here = this_process()
    if not mark.boot or not mark.started or mark.machine != here.machine:
        return False
    if mark.boot != here.boot:
        return True
    if mark.namespace != here.namespace:
        return False
    return _started(str(mark.pid)) != mark.started


def is_locked(path: str) -> bool:
    """Whether some process holds an exclusive flock on the file."""
    import fcntl

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def _boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _started(pid: str) -> int:
    """Start time of a living process in clock ticks; 0 for one that is gone, or dead and not yet reaped."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # the name, in parentheses, may hold anything: count fields after its end (proc_pid_stat(5), fields 3 and 22)
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
