"""Ordinary Prefect scripts, run as they are under Prefect, and under flowtell after their imports alone are changed.

What a script prints and how its runs end under Prefect is recorded beside it, so that flowtell is compared where no Prefect
is: `python -m tests.parity.ordinary` records it anew, with the environment of `make prefect-environment`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.sources.prefect.conftest import ENVIRONMENT, PrefectServer

from flowtell.engine.states import State
from flowtell.testing.seen_runs import SeenRun, flow_runs, task_runs
from flowtell.testing.written_events import WrittenEvents

FOLDER = Path(__file__).parent / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py"))
IMPORT = re.compile(r"^(from|import) (prefect[\w.]*)", re.MULTILINE)
HERE = {"NotReady": "Skipped", "RolledBack": "Completed"}
"""States of Prefect's that are others here: a task run that does not begin, as another failed, has ended; and one that has
completed stays so where its transaction is undone, as `transaction.rolled_back` tells.
"""
SECONDS = 120


class Outcome(NamedTuple):
    """What can be seen of a script from outside."""

    printed: Any
    flow_runs: list[list[Any]]
    """Flow, state and how many such runs."""
    task_runs: list[list[Any]]


def with_our_imports(text: str, our_path: Callable[[str], str]) -> str:
    """The script with other imports: nothing but the lines that begin with one is touched."""
    return IMPORT.sub(lambda line: f"{line[1]} {our_path(line[2])}", text)


def under_flowtell(name: str, folder: Path, our_path: Callable[[str], str]) -> Outcome:
    script, home = folder / f"{name}.py", folder / "home"
    script.write_text(with_our_imports((FOLDER / f"{name}.py").read_text(), our_path))
    printed = _run([sys.executable, script], {**os.environ, "FLOWTELL_HOME": str(home), "FLOWTELL_QUIET": "true"})
    events = WrittenEvents(str(home)).all()
    return Outcome(printed, _told(flow_runs(events), "flow"), _told(task_runs(events), "task"))


def _told(runs: list[SeenRun], kind: str) -> list[list[Any]]:
    """Prefect writes the dash of a flow's name where its function has an underscore; a task keeps its function's name."""
    names = [getattr(run, kind).replace("_", "-") if kind == "flow" else run.task for run in runs]
    return _counted([(name, State(run.state).name) for name, run in zip(names, runs, strict=True)])


def under_prefect(name: str, server: PrefectServer) -> Outcome:
    before = {kind: {run["id"] for run in server.all(kind)} for kind in ("flow_runs", "task_runs")}
    printed = _run([ENVIRONMENT / "bin" / "python", FOLDER / f"{name}.py"], server.environment)
    flows = {flow["id"]: flow["name"] for flow in server.all("flows")}
    runs = [run for run in server.all("flow_runs") if run["id"] not in before["flow_runs"]]
    tasks = _settled(server, before["task_runs"])
    return Outcome(
        printed,
        _counted([(flows[run["flow_id"]], run["state_name"]) for run in runs]),
        _counted([(run["name"].rpartition("-")[0], run["state_name"]) for run in tasks if not _stands_for_a_flow(run)]),
    )


def _stands_for_a_flow(task_run: dict[str, Any]) -> bool:
    """In Prefect a subflow has a task run beside its own."""
    return bool(((task_run.get("state") or {}).get("state_details") or {}).get("child_flow_run_id"))


def _settled(server: PrefectServer, before: set[str]) -> list[dict[str, Any]]:
    """Its server hears of task runs a while after they have ended."""
    seen: list[Any] = []
    until = time.monotonic() + 30
    while time.monotonic() < until:
        found = [run for run in server.all("task_runs") if run["id"] not in before]
        told = sorted((run["id"], run["state_name"]) for run in found)
        if told == seen and all(state not in ("Pending", "Running", "AwaitingRetry", "Retrying") for _, state in told):
            return found
        seen = told
        time.sleep(2)
    raise TimeoutError(f"Prefect's task runs did not settle: {seen}")


def recorded(name: str) -> Outcome:
    """Of Prefect, word for word."""
    return Outcome(**json.loads((FOLDER / f"{name}.json").read_text())["outcome"])


def as_here(outcome: Outcome) -> Outcome:
    """With our states for Prefect's."""
    runs = [(name, HERE.get(state, state)) for name, state, count in outcome.task_runs for _ in range(count)]
    return outcome._replace(task_runs=_counted(runs))


def _run(command: list[Any], environ: dict[str, str]) -> Any:
    """The last line that it prints, which is JSON."""
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _counted(runs: list[tuple[str, str]]) -> list[list[Any]]:
    return [[name, state, count] for (name, state), count in sorted(Counter(runs).items())]


def record() -> None:
    with tempfile.TemporaryDirectory() as home:
        server = PrefectServer(Path(home))
        server.start()
        try:
            python = ENVIRONMENT / "bin" / "python"
            version = subprocess.check_output([python, "-c", _VERSION], env=server.environment, text=True).strip()
            for name in SCRIPTS:
                outcome = under_prefect(name, server)
                told = {"package": "prefect", "version": version, "outcome": outcome._asdict()}
                (FOLDER / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")
        finally:
            server.kill()


_VERSION = "import prefect; print(prefect.__version__)"


if __name__ == "__main__":
    record()
