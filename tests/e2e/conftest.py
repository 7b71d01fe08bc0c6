"""Real processes around a home: writers and flows that note what they emitted, servers that are killed, and SQL by hand."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

CHILDREN = Path(__file__).parent / "children"


class House:
    """A home, the processes that use it, and what an outsider sees of it."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.sides: list[Path] = []

    # --- processes ------------------------------------------------------------------------------------------------

    def child(self, script: str | Path, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        """A script of `children`, or one of an absolute path; `python` is another interpreter's, with another flowtell."""
        path = CHILDREN / script
        command = [str(options.pop("python", sys.executable)), str(path), *map(str, arguments)]
        log = open(self.folder / f"{path.name}.err", "ab")  # noqa: SIM115  # the child's
        environment = {**os.environ, **options.pop("env", {})}
        process = subprocess.Popen(command, stderr=log, env=environment, **options)
        log.close()
        self.processes.append(process)
        return process

    def writer(self, script: str = "writer.py", *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        side = self.folder / f"side-{len(self.sides)}"
        self.sides.append(side)
        process = self.child(script, side, *arguments, **options)
        process.side = side  # type: ignore[attr-defined]
        return process

    def server(self, wait: bool = True, port: int = 0, **environ: str) -> subprocess.Popen[bytes]:
        place = self.folder / "address"
        place.unlink(missing_ok=True)
        process = self.child("server.py", place, port, env=environ)
        until = time.monotonic() + 40
        while wait and not place.exists():
            assert process.poll() is None, self.errors()
            assert time.monotonic() < until, self.errors()
            time.sleep(0.01)
        return process

    def errors(self) -> str:
        return "\n".join(file.read_text(errors="replace")[-3000:] for file in self.folder.glob("*.err"))

    def get(self, path: str, **headers: str) -> bytes:
        url = (self.folder / "address").read_text() + path
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return answer.read()

    def kill(self, process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
        process.send_signal(number)
        process.wait(20)

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                self.kill(process)

    # --- what can be seen -----------------------------------------------------------------------------------------

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows by the standard library's driver, sharing nothing with the code under test."""
        if not (self.home / "flowtell.db").exists():
            return []
        connection = sqlite3.connect(f"file:{self.home}/flowtell.db?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def noted(self, *sides: Path) -> list[list[str]]:
        """What the writers noted after `emit` had returned: id, type, run, task run."""
        lines = []
        for side in sides or self.sides:
            if side.exists():
                whole = side.read_bytes().rpartition(b"\n")[0]
                lines += [line.split() for line in whole.decode().splitlines()]
        return lines

    def until(self, condition: Any, seconds: float = 20.0, what: str = "") -> float:
        """Wait until `condition()` is true; how long it took."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}\n{self.errors()}"
            time.sleep(0.02)
        return time.monotonic() - began

    def settled(self, plugins: bool = True) -> None:
        """Wait until every journal is in the log and every plugin at its end. The writers must have ended."""
        self.until(
            lambda: not self.sql("SELECT 1 FROM writers WHERE kind='journal' AND ended IS NULL") and not self.journals(),
            40,
            "journals deleted",
        )
        if plugins:
            self.until(
                lambda: all(one["lag_events"] == 0 for one in json.loads(self.get("/api/plugins"))["plugins"]),
                20,
                "plugins at the tail",
            )

    def journals(self) -> list[str]:
        folder = self.home / "journals"
        return (
            sorted(path.name for path in folder.glob("*.jsonl") if not path.name.startswith(".")) if folder.exists() else []
        )

    # --- what must hold -------------------------------------------------------------------------------------------

    def check_nothing_lost(self) -> tuple[int, int]:
        """Every noted event is in the log once. How many were noted, and how many are there."""
        noted = [line[0] for line in self.noted()]
        assert len(noted) == len(set(noted))
        rows = self.sql("SELECT id FROM events")
        held = Counter(row[0] for row in rows)
        lost = set(noted) - held.keys()
        assert not lost, f"{len(lost)} of {len(noted)} lost"
        assert max(held.values(), default=1) == 1
        twice = self.sql(
            "SELECT type, run, task_run, count(*) FROM events WHERE contrary IS NULL AND type IN "
            "('flow_run.finished', 'task_run.finished', 'flow_run.started') GROUP BY 1, 2, 3 HAVING count(*) > 1"
        )
        assert twice == []
        seqs = [row[0] for row in self.sql("SELECT seq FROM events ORDER BY seq")]
        assert seqs == list(range(1, len(seqs) + 1)), "the log has holes"
        return len(noted), len(rows)

    def check_every_run_ended(self) -> Counter[str]:
        """No run or task run is open. How many ended in which state, by the runs' own table."""
        for table in ("runs", "task_runs"):
            assert self.sql(f"SELECT id, state FROM {table} WHERE ended IS NULL") == []
        return Counter(row[0] for row in self.sql("SELECT state FROM runs"))

    def series(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Every sample of `/metrics`, by name and labels."""
        return parse_metrics(self.get("/metrics").decode())

    def check_totals(self) -> int:
        """`/metrics` says what a count over the events says. How many series were compared."""
        counted = self.sql(
            "SELECT type, flow, coalesce(task, ''), coalesce(json_extract(data, '$.state'), 'completed'), count(*) "
            "FROM events "
            "WHERE type IN ('flow_run.finished', 'task_run.finished') AND contrary IS NULL GROUP BY 1, 2, 3, 4"
        )
        compared = 0
        series = self.series()
        for kind, flow, task, state, number in counted:
            labels = {"flow": flow, "state": state} | ({"task": task} if kind.startswith("task") else {})
            name = "flowtell_task_runs_total" if kind.startswith("task") else "flowtell_flow_runs_total"
            found = [value for (n, given), value in series.items() if n == name and labels.items() <= dict(given).items()]
            assert sum(found) == number, (name, labels, found, number)
            compared += 1
        for name, kind in (
            ("flowtell_task_runs_total", "task_run.finished"),
            ("flowtell_flow_runs_total", "flow_run.finished"),
        ):
            shown = sum(value for (n, _), value in series.items() if n == name)
            assert shown == sum(row[4] for row in counted if row[0] == kind), name
        return compared


def parse_metrics(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Prometheus text by the official parser."""
    parser = pytest.importorskip("prometheus_client.parser")
    families = parser.text_string_to_metric_families(text)
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value for family in families for sample in family.samples
    }


@pytest.fixture
def house(home, tmp_path):
    made = House(home, tmp_path)
    yield made
    made.close()


@pytest.fixture
def children():
    return CHILDREN
