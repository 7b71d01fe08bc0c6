"""Emits runs until it is told to end; notes an event only when the journal took it. Says at the end what was dropped.

careful.py SIDE_FILE [PAUSE_SECONDS]
"""

import os
import sys
import time
from pathlib import Path

from flowtell import bus
from flowtell import events as e
from flowtell.ids import new_id

bus._RETRY_SECONDS = 0.2


def tell(notes: int, event: e.Event) -> None:
    before = bus.dropped()
    bus.emit(event)
    if bus.dropped() == before:
        os.write(notes, f"{event.id} {event.type} {event.run} {event.task_run or '-'}\n".encode())


def now() -> int:
    return time.time_ns() // 1000


def main(side: str, pause: str = "0.002") -> None:
    notes = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while not Path(side + ".stop").exists():
        flow = {"run": new_id(), "flow": "careful"}
        began = time.monotonic()
        tell(notes, e.FlowRunStarted(id=new_id(), time=now(), **flow, pid=os.getpid()))
        tell(notes, e.LogRecorded(id=new_id(), time=now(), **flow, message="x" * 700))
        time.sleep(float(pause))
        took = time.monotonic() - began
        tell(notes, e.FlowRunFinished(id=new_id(), time=now(), **flow, state="completed", duration=took))
    Path(side + ".dropped").write_text(str(bus.dropped()))


if __name__ == "__main__":
    main(*sys.argv[1:])
