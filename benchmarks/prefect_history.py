"""History from a real Prefect server: flow runs a minute, beside a bare loop over the same pages, and the memory it takes.

Measures nothing where there is no Prefect: `make prefect-environment` makes it one.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from figure import Figure
from prefect_server import PrefectServer, there_is_prefect

TASKS_A_RUN = 3

BARE = """
import sys, time, httpx2, msgspec
url, pages = sys.argv[1], 0
client = httpx2.Client(timeout=60)
def ask(what, body):
    return msgspec.json.decode(client.post(f"{url}/{what}/filter", json=body).content)
def all_pages(what, body):
    offset = 0
    while True:
        page = ask(what, {**body, "limit": 200, "offset": offset})
        yield page
        if len(page) < 200:
            return
        offset += 200
began, runs, before = time.perf_counter(), 0, "2100-01-01T00:00:00Z"
while True:
    page = ask("flow_runs", {"flow_runs": {"end_time": {"before_": before}}, "sort": "END_TIME_DESC", "limit": 200})
    runs += len(page)
    for tasks in all_pages("task_runs", {"flow_runs": {"id": {"any_": [run["id"] for run in page]}}, "sort": "ID_DESC"}):
        pass
    if len(page) < 200:
        break
    before = page[-1]["end_time"]
print(time.perf_counter() - began)
"""


def _copies(database: Path, runs: int) -> None:
    """Ended runs with their task runs, made in the database from one that the server made itself."""
    with sqlite3.connect(database) as store:
        flow = _row(store, "SELECT * FROM flow_run WHERE state_type = 'COMPLETED' AND parent_task_run_id IS NULL LIMIT 1")
        flow_state = _row(store, f"SELECT * FROM flow_run_state WHERE id = '{flow['state_id']}'")
        task = _row(store, "SELECT * FROM task_run WHERE state_type = 'COMPLETED' AND flow_run_id IS NOT NULL LIMIT 1")
        task_state = _row(store, f"SELECT * FROM task_run_state WHERE id = '{task['state_id']}'")
        for number in range(runs):
            own = _copy(store, "flow_run", flow, flow_state, number=number, changes={})
            for each in range(TASKS_A_RUN):
                changes = {"flow_run_id": own, "dynamic_key": f"{number}-{each}"}
                _copy(store, "task_run", task, task_state, number=number, changes=changes)


def _row(store: sqlite3.Connection, query: str) -> dict[str, object]:
    found = store.execute(query)
    return dict(zip((column[0] for column in found.description), found.fetchone(), strict=True))


def _copy(store, table, row, state, *, number, changes) -> str:
    """The same run again, under an id and at a time of its own."""
    owner, identity = str(uuid.uuid4()), str(uuid.uuid4())
    ended = f"{datetime(2026, 10, 1, tzinfo=UTC) + timedelta(seconds=number * 61, microseconds=number):%Y-%m-%d %H:%M:%S.%f}"
    times = {"start_time": ended, "end_time": ended, "expected_start_time": ended, "idempotency_key": None}
    made = {**row, **{key: value for key, value in times.items() if key in row}, **changes, "id": owner, "state_id": None}
    _insert(store, table, made)
    _insert(store, f"{table}_state", {**state, "id": identity, f"{table}_id": owner, "timestamp": ended})
    store.execute(f"UPDATE {table} SET state_id = ? WHERE id = ?", (identity, owner))
    return owner


def _insert(store: sqlite3.Connection, table: str, row: dict[str, object]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    store.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))


def measure(quick: bool = False) -> list[Figure]:
    if not there_is_prefect():
        return []
    runs = 1_000 if quick else 4_000
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as folder:
        server = PrefectServer(Path(folder))
        with server.running():
            server.play("quick", "2")
            time.sleep(3)
        _copies(Path(folder) / "prefect.db", runs)
        with server.running():
            bare = min(_bare(server.url) for _ in range(2))
            ours, memory = min(_ours(server.url, folder, number) for number in range(2))
    rate, floor = runs / ours * 60, runs / bare * 60
    note = f"bare loop {floor:,.0f} a minute; {runs:,} flow runs with {TASKS_A_RUN} task runs each"
    return [
        Figure("prefect history", rate, "flow runs a minute", at_least=20_000, note=note),
        Figure("prefect history, of a bare loop", rate / floor, "", at_least=0.5, note=note),
        Figure("prefect history: memory", memory / 1e6, "MB", at_most=200, note="peak of the importing process"),
    ]


def _bare(url: str) -> float:
    return float(subprocess.run([sys.executable, "-c", BARE, url], capture_output=True, check=True, text=True).stdout)


def _ours(url: str, folder: str, number: int) -> tuple[float, float]:
    """Seconds of one whole import with its start, and its peak of memory."""
    environment = {**os.environ, "FLOWTELL_HOME": f"{folder}/home-{number}"}
    command = [Path(sys.executable).with_name("flowtell"), "import", "prefect", "--api-url", url, "--days", "400"]
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the import ended with {process.returncode}")
    return time.perf_counter() - began, used.ru_maxrss * 1024


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
