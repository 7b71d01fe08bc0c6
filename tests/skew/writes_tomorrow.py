"""Runs in a later core: emits what the present one does not know, and prints each line that it wrote."""

from __future__ import annotations

import sys
import time

from flowtell import bus, flow
from flowtell import events as e
from flowtell.ids import new_id
from flowtell.version import VERSION


@flow
def nightly():
    return 1


def now() -> int:
    return time.time_ns() // 1000


if __name__ == "__main__":
    assert VERSION == "9.0.0", VERSION
    nightly()
    run = new_id()
    told = {"run": run, "flow": "nightly"}
    for event in (
        e.FlowRunStarted(id=new_id(), time=now(), **told),
        e.FlowRunRated(id=new_id(), time=now(), **told, stars=5, by=("ada", "grace")),
        e.FlowRunFinished(
            id=new_id(),
            time=now(),
            **told,
            state="failed",
            weather="storm",
            forecast={"deep": [1, {"x": None}]},
            error=e.Failure(type="ValueError", hint="look up"),
        ),
        e.FlowRunFinished(id=new_id(), time=now(), run=new_id(), flow="nightly", state="evaporated"),
    ):
        bus.emit(event)
        sys.stdout.write(e.encode(event).decode() + "\n")
