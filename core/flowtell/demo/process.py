"""One step of the tour as a process of its own, watched through the log like anybody's pipeline."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from typing import IO, Final, NamedTuple

from flowtell.demo.stage import Stage
from flowtell.demo.steps import Step
from flowtell.store.reading import Run, TaskRun, list_runs, list_task_runs

_LONGEST: Final = 90.0
_SOON: Final = 10.0
_HALF: Final = 6
"""Of the twelve months of the flow that is killed."""


class Outcome(NamedTuple):
    """How a step went, by what the log tells of it."""

    step: Step
    run: Run | None
    """None where the log never heard of one."""
    tasks: tuple[TaskRun, ...] = ()
    said: str = ""
    """The last line that the process wrote to stderr."""

    @property
    def as_expected(self) -> bool:
        return self.run is not None and self.run.state == self.step.ends

    @property
    def retries(self) -> int:
        return sum(task.attempts - 1 for task in self.tasks)


def play(step: Step, stage: Stage) -> Outcome:
    """Run the step to its end, or to the kill, and wait until the log knows how it ended."""
    began = time.time_ns() // 1000
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            step.command,
            cwd=stage.folder,
            env=stage.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
        )
        try:
            if step.killed:
                _kill_half_way(process, step, stage, began)
            process.wait(_LONGEST)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
        run = _ended_run(step, stage, began)
        tasks = list_task_runs(stage.read, run.id) if run else []
        return Outcome(step, run, tuple(tasks), _last_line(words))


def _kill_half_way(process: subprocess.Popen[bytes], step: Step, stage: Stage, began: int) -> None:
    until = time.monotonic() + _LONGEST
    while process.poll() is None and time.monotonic() < until:
        run = _run_of(step, stage, began)
        if run and sum(task.ended is not None for task in list_task_runs(stage.read, run.id)) >= _HALF:
            process.send_signal(signal.SIGKILL)
            return
        time.sleep(0.02)


def _ended_run(step: Step, stage: Stage, began: int) -> Run | None:
    """The step's run, as soon as the log knows its end; as it is after some seconds otherwise."""
    until = time.monotonic() + _SOON
    while True:
        run = _run_of(step, stage, began)
        if (run and run.ended is not None) or time.monotonic() > until:
            return run
        time.sleep(0.02)


def _run_of(step: Step, stage: Stage, began: int) -> Run | None:
    return next(iter(list_runs(stage.read, flow=step.flow, since=began, limit=1)), None)


def _last_line(words: IO[bytes]) -> str:
    words.seek(0)
    lines = words.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
