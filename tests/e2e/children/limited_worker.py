"""Runs a limited flow so many times, and writes into a file when each run is inside: an oracle that knows no limiter."""

from __future__ import annotations

import os
import sys
import time

from flowtell import current_run, flow

diary, count, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
file = os.open(diary, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(word: str) -> None:
    os.write(file, f"{word} {os.getpid()} {current_run().id}\n".encode())


@flow(concurrency_limit=3)
def limited() -> None:
    note("in")
    time.sleep(seconds)
    note("out")


for _ in range(count):
    limited()
