"""A process that is killed while it makes an asset: the asset has failed, once, and never where it was made before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from flowtell import events as e
from flowtell.server.ingest import Ingester
from flowtell.store import open_store

KILLED = """
import os, signal
from flowtell import flow, materialize
from flowtell.engine import task_runs

@materialize("s3://lake/prices")
def prices():
    return {"a": 1}

@materialize("s3://lake/orders", asset_deps=["s3://lake/raw"], by="dbt")
def orders(given):
    os.kill(os.getpid(), signal.SIGKILL)

@materialize("s3://lake/told")
def told():
    pass

@flow
def etl():
    if os.environ.get("TOLD"):  # killed between the asset's end and the run's
        task_runs.TaskRun._leave_traces = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        told()
    orders(prices())

etl()
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def store(request, home):
    url = f"sqlite:///{home}/flowtell.db" if request.param == "sqlite" else request.getfixturevalue("new_database")()
    made = open_store(url)
    made.keep_house(time.time_ns() // 1000)
    yield made
    made.close()


def kill_and_take_in(store, home: Path, **environment: str) -> list[e.Event]:
    """Twice: the second pass finds nothing to end."""
    script = home / "killed.py"
    script.write_text(textwrap.dedent(KILLED), encoding="utf-8")
    child = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "FLOWTELL_HOME": str(home), **environment}, check=False
    )
    assert child.returncode == -signal.SIGKILL
    for _ in range(2):
        ingester = Ingester(store, str(home), lambda: time.time_ns() // 1000)
        until = time.monotonic() + 60
        while ingester.step() and time.monotonic() < until:
            pass
        ingester.close()
    return store.log.read(0)


def test_an_asset_in_the_making_has_failed(store, home: Path) -> None:
    """With its state, why, and what it would have been made of; what was made before stays made."""
    seen = kill_and_take_in(store, home)
    [failed] = [event for event in seen if isinstance(event, e.AssetFailed)]
    assert (failed.asset, failed.state, failed.task, failed.flow, failed.by) == (
        "s3://lake/orders", "crashed", "orders", "etl", "dbt",
    )  # fmt: skip
    assert failed.error is not None
    assert "ended without finishing" in failed.error.message
    assert [(one.asset, one.evidence) for one in failed.upstream] == [
        ("s3://lake/raw", "declared"),
        ("s3://lake/prices", "object"),
    ]
    assert [event.asset for event in seen if isinstance(event, e.AssetMaterialized)] == ["s3://lake/prices"]
    ends = [
        event.type
        for event in seen
        if event.task_run == failed.task_run and event.type in ("asset.failed", "task_run.finished")
    ]
    assert ends == ["asset.failed", "task_run.finished"]


def test_what_was_told_as_made_is_not_told_as_failed(store, home: Path) -> None:
    """The process died between the asset's end and its run's: the asset is there."""
    seen = kill_and_take_in(store, home, TOLD="1")
    assert [event.type for event in seen if getattr(event, "asset", "") == "s3://lake/told"] == [
        "asset.declared", "asset.materializing", "asset.materialized",
    ]  # fmt: skip
    assert [event.state for event in seen if isinstance(event, e.TaskRunFinished)] == ["crashed"]
