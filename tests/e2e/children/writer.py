"""Emits runs with task runs until it is killed or told to end; notes each event on the side once `emit` has returned.

writer.py SIDE_FILE [PAUSE_SECONDS [RUNS]]
"""

import os
import sys
import time

from flowtell import bus
from flowtell import events as e
from flowtell.ids import new_id


def main(side: str, pause: float = 0.002, runs: int = 1_000_000) -> None:
    notes = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number in range(runs):
        run = new_id()
        flow = {"run": run, "flow": f"flow_{number % 3}"}
        tell(notes, e.FlowRunStarted(id=new_id(), time=now(), **flow, name=f"run-{number}", pid=os.getpid()))
        for index in range(3):
            mine = {**flow, "task_run": new_id(), "task": f"task_{index}"}
            tell(notes, e.TaskRunStarted(id=new_id(), time=now(), **mine))
            tell(notes, e.LogRecorded(id=new_id(), time=now(), **mine, message="x" * (37 * index)))
            time.sleep(pause)
            state = "failed" if (number + index) % 5 == 4 else "completed"
            tell(notes, e.TaskRunFinished(id=new_id(), time=now(), **mine, state=state, duration=pause))
        tell(notes, e.FlowRunFinished(id=new_id(), time=now(), **flow, state="completed", duration=3 * pause))


def tell(notes: int, event: e.Event) -> None:
    bus.emit(event)
    os.write(notes, f"{event.id} {event.type} {event.run} {event.task_run or '-'}\n".encode())


def now() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    main(sys.argv[1], *[float(sys.argv[2])] if len(sys.argv) > 2 else [], *[int(sys.argv[3])] if len(sys.argv) > 3 else [])
