"""Serves a flow that notes each call of its function: `served.py FOLDER EVERY SECONDS [OVERLAP]`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from flowtell import current_run, every, flow


@flow
def tick(folder: str, seconds: float = 0.0):
    run = current_run()
    note = f"{run.flow_run_id} {run.due.timestamp()} {os.getpid()}\n".encode()
    fd = os.open(Path(folder) / "begun", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(fd, note)
    os.close(fd)
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        (Path(folder) / "cleaned").touch()
        raise


if __name__ == "__main__":
    folder, step, seconds, *overlap = sys.argv[1:]
    schedule = every(step, overlap=overlap[0] if overlap else "queue", catch_up="all")
    tick.serve("e2e", schedule=schedule, parameters={"folder": folder, "seconds": float(seconds)})
