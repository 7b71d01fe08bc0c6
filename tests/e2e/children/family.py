"""A flow process that has a child in one of many ways; both report, the parent waits to be killed.

family.py SIDE_FILE WAY
"""

import ctypes
import fcntl
import multiprocessing
import os
import subprocess
import sys
import time

from flowtell import bus
from flowtell import events as e
from flowtell.ids import new_id

SLEEPER = "import os, sys, time; open(sys.argv[1] + '.child', 'w').write(str(os.getpid())); time.sleep(60)"


def start(side: str, flow: str) -> None:
    notes = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    run, task_run = new_id(), new_id()
    for event in (
        e.FlowRunStarted(id=new_id(), time=time.time_ns() // 1000, run=run, flow=flow),
        e.TaskRunStarted(id=new_id(), time=time.time_ns() // 1000, run=run, flow=flow, task_run=task_run, task="open"),
    ):
        bus.emit(event)
        os.write(notes, f"{event.id} {event.type} {run} {event.task_run or '-'}\n".encode())


def child(side: str, speaks: bool) -> None:
    """What the child does: says who it is, has a run of its own where it speaks, and lives on."""
    if speaks:
        start(side, "child")
    with open(side + ".child.new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(side + ".child.new", side + ".child")
    time.sleep(60)


def fork(side: str, speaks: bool) -> None:
    if not os.fork():
        child(side, speaks)
        os._exit(0)


def main(side: str, way: str) -> None:
    start(side, "parent")
    match way:
        case "fork" | "fork that speaks":
            fork(side, way.endswith("speaks"))
        case "double fork":
            middle = os.fork()
            if not middle:
                os.setsid()
                fork(side, True)
                os._exit(0)
            os.waitpid(middle, 0)
        case "multiprocessing fork" | "multiprocessing spawn" | "multiprocessing forkserver":
            multiprocessing.get_context(way.split()[1]).Process(target=child, args=(side, True)).start()
        case "subprocess":
            subprocess.Popen([sys.executable, "-c", SLEEPER, side], close_fds=False)
        case "subprocess with the descriptor":
            descriptor = bus._bus.journal._fd  # what a careless library does
            subprocess.Popen([sys.executable, "-c", SLEEPER, side], pass_fds=[descriptor])
        case "fork behind Python":
            if not ctypes.PyDLL(None).fork():
                ctypes.CDLL(None).sleep(60)  # no hook ran, so it has the descriptor
                os._exit(0)
            open(side + ".child", "w").close()
        case "exec of itself":
            fcntl.fcntl(0, fcntl.F_GETFD)
            code = "import sys; sys.path.insert(0, sys.argv[3]); import family; family.child(sys.argv[1], True)"
            os.execv(sys.executable, [sys.executable, "-c", code, side, way, os.path.dirname(os.path.abspath(__file__))])
        case _:
            raise ValueError(way)
    time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
