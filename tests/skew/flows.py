"""Flows of any version: run with a name, they write the journal of whatever flowtell is imported."""

from __future__ import annotations

import os
import signal
import sys

from flowtell import emit_event, flow, materialize, measure, task


@task(retries=2)
def fetch(tries=[]):  # noqa: B006  # counts its own calls
    tries.append(1)
    if len(tries) < 2:
        raise OSError("not yet")
    return [3, 1, 2]


@materialize("file://old/sorted.json", asset_deps=["file://old/raw.json"])
def arrange(rows):
    measure("rows", len(rows))
    return sorted(rows)


@task
def fail():
    raise ValueError("on purpose")


@flow
def inner(rows):
    return len(rows)


@flow(log_prints=True)
def good(day: str = "2026-11-21"):
    print("working on", day)
    rows = arrange(fetch())
    emit_event("old.scored", payload={"score": 1, "day": day})
    return inner(rows)


@flow
def bad():
    fail()


@flow
def killed():
    fetch()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    if sys.argv[1] == "is_killed":
        killed()
    good()
    try:
        bad()
    except ValueError:
        pass
