"""Runs real flows until it is told to end or killed: assets, failing flows with a rule. Notes each event on the side.

company.py SIDE_FILE NAME [PAUSE_SECONDS]
"""

import os
import sys
import time
from pathlib import Path

from flowtell import bus, failed, flow, materialize, task


@task
def extract(number: int) -> list[int]:
    return list(range(number % 7))


@materialize("lake://raw/orders")
def raw(rows: list[int]) -> list[int]:
    return rows


@materialize("lake://clean/orders", asset_deps=["postgres://shop/orders"])
def clean(rows: list[int]) -> int:
    return len(rows)


@task
def breaks() -> None:
    """Four seconds ill, four seconds well: long enough that somebody is told."""
    if time.monotonic() % 8 < 4:
        raise ValueError("ill")


def flows(name: str):
    @flow(name=f"orders_{name}")
    def orders(number: int) -> int:
        return clean(raw(extract(number)))

    @flow(name=f"shaky_{name}", rules=[failed()])
    def shaky() -> None:
        breaks()

    return orders, shaky


def main(side: str, name: str, pause: str = "0.02") -> None:
    notes = os.open(side, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    # the sink is called after the journal has taken the line
    bus.attach(
        lambda event: os.write(notes, f"{event.id} {event.type} {event.run or '-'} {event.task_run or '-'}\n".encode())
    )
    orders, shaky = flows(name)
    number = 0
    while not Path(side + ".stop").exists():
        orders(number)
        try:
            shaky()
        except ValueError:
            pass
        number += 1
        time.sleep(float(pause))


if __name__ == "__main__":
    main(*sys.argv[1:])
