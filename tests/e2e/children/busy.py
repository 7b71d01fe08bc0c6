"""A flow whose parent gives no sign of life by itself for a while, in one of many ways; then it completes.

busy.py SIDE_FILE WAY SECONDS
"""

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

from flowtell import flow


def compute(seconds: float) -> None:
    """Pure Python, never yielding of its own."""
    until = time.monotonic() + seconds
    number = 0
    while time.monotonic() < until:
        number = (number * 31 + 7) % 1_000_003


def hold_the_interpreter(seconds: float) -> None:
    """C code that keeps the interpreter's lock: no other thread of the process runs."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def wait_for_a_child(seconds: float) -> None:
    subprocess.run(["sleep", str(seconds)], check=True)


def fork_and_wait(seconds: float) -> None:
    child = os.fork()
    if not child:
        time.sleep(seconds)
        os._exit(0)
    os.waitpid(child, 0)


WAYS = {
    "sleep": time.sleep,
    "compute": compute,
    "hold the interpreter": hold_the_interpreter,
    "wait for a child": wait_for_a_child,
    "fork and wait": fork_and_wait,
}


@flow
def parent(side: str, way: str, seconds: float) -> None:
    time.sleep(0.5)
    Path(side).touch()
    WAYS[way](seconds)


if __name__ == "__main__":
    parent(sys.argv[1], sys.argv[2], float(sys.argv[3]))
