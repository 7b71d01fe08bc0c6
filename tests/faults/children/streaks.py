"""Runs flows that end well and badly in streaks, two bad ones at most in each, and notes each event on the side.

streaks.py SIDE_FILE NAME FLOWS PASSES PAUSE_SECONDS
"""

import os
import random
import sys
import time

from flowtell import bus, failed, flow

MOST_STREAKS = 2
"""A third one within an hour would flap."""


def fates(name: str, passes: int) -> list[bool]:
    """Whether each run of a flow ends well."""
    draw = random.Random(name)
    cuts = sorted(draw.sample(range(1, passes), min(2 * MOST_STREAKS - 1, passes - 1)))
    start = draw.random() < 0.5
    streak = [sum(cut <= number for cut in cuts) for number in range(passes)]
    return [(number % 2 == 0) == start for number in streak]


def made(name: str, passes: int):
    ends = iter(fates(name, passes))

    @flow(name=name, rules=[failed()])
    def job() -> None:
        if not next(ends):
            raise ValueError("ill")

    return job


def main(side: str, name: str, flows: str, passes: str, pause: str) -> None:
    notes = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # the sink is called after the journal has taken the line
    bus.attach(
        lambda event: os.write(notes, f"{event.id} {event.type} {event.run or '-'} {event.task_run or '-'}\n".encode())
    )
    jobs = [made(f"{name}_{number}", int(passes)) for number in range(int(flows))]
    for _ in range(int(passes)):
        for job in jobs:
            try:
                job()
            except ValueError:
                pass
            time.sleep(float(pause))


main(*sys.argv[1:])
