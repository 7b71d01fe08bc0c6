"""Runs real flows until it is killed: subflows, retries, a mapped fan-out on threads. Notes each event on the side.

flows.py SIDE_FILE
"""

import os
import sys
import time
from pathlib import Path

from flowtell import bus, flow, get_run_logger, task


@task(retries=1)
def sometimes(number: int) -> int:
    if number % 4 == 3 and not _tried(number):
        raise ValueError(number)
    get_run_logger().info("step %s", number)
    time.sleep(0.003)
    return number


@task
def wait(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@flow
def inner() -> float:
    return wait(0.01)


@flow
def nightly(number: int) -> int:
    inner()
    fanned = wait.map([0.005, 0.01, 0.015])
    total = sum(sometimes(each) for each in range(number, number + 4))
    [future.result() for future in fanned]
    return total


_seen: set[int] = set()


def _tried(number: int) -> bool:
    return number in _seen or bool(_seen.add(number))


def main(side: str) -> None:
    notes = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # the sink is called after the journal has taken the line
    bus.attach(
        lambda event: os.write(notes, f"{event.id} {event.type} {event.run or '-'} {event.task_run or '-'}\n".encode())
    )
    number = 0
    while not Path(side + ".stop").exists():
        nightly(number)
        number += 1


if __name__ == "__main__":
    main(sys.argv[1])
