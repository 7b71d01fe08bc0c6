"""Four threads of one process emit runs at once; each notes its events on the side once `emit` has returned.

crowd.py SIDE_FILE RUNS
"""

import os
import sys
import threading
import time

from flowtell import bus
from flowtell import events as e
from flowtell.ids import new_id


def tell(notes: int, event: e.Event) -> None:
    bus.emit(event)
    os.write(notes, f"{event.id} {event.type} {event.run} {event.task_run or '-'}\n".encode())


def emit(notes: int, number: int, runs: int, start: threading.Barrier) -> None:
    start.wait()
    for _ in range(runs):
        flow = {"run": new_id(), "flow": f"flow_{number}"}
        tell(notes, e.FlowRunStarted(id=new_id(), time=now(), **flow, pid=os.getpid()))
        for index in range(3):
            mine = {**flow, "task_run": new_id(), "task": f"task_{index}"}
            tell(notes, e.TaskRunStarted(id=new_id(), time=now(), **mine))
            tell(notes, e.TaskRunFinished(id=new_id(), time=now(), **mine, state="completed", duration=0.0))
        tell(notes, e.FlowRunFinished(id=new_id(), time=now(), **flow, state="completed", duration=0.0))


def now() -> int:
    return time.time_ns() // 1000


def main(side: str, runs: str) -> None:
    notes = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    start = threading.Barrier(4)
    threads = [threading.Thread(target=emit, args=(notes, number, int(runs), start)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
