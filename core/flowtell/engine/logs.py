"""Log lines of a run: through `get_run_logger`, any stdlib logger below `flowtell`, or prints."""

from __future__ import annotations

import logging
import sys
from time import time_ns
from typing import TYPE_CHECKING

from flowtell.bus import emit
from flowtell.cutting import cut, whole
from flowtell.engine.context import current
from flowtell.events import LogRecorded
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.runs import Run

_MESSAGE = 32_000
_CONSOLE = logging.Formatter("%(asctime)s %(levelname)-7s %(run)s | %(message)s", "%H:%M:%S")


def get_run_logger() -> logging.Logger:
    """A logger whose lines, from INFO on, belong to the run around the caller; the level of logger `flowtell` decides.

    They also go where the process's logging sends them, or to stderr where logging has not been set up. Outside a run
    they go only there, so that a function can be tested by its `.fn`.
    """
    logger = logging.getLogger("flowtell.run")
    if not any(isinstance(handler, _Recorder) for handler in _ROOT.handlers):
        _ROOT.addHandler(_Recorder())
        if _ROOT.level == logging.NOTSET:
            _ROOT.setLevel(logging.INFO)
    return logger


class _Recorder(logging.Handler):
    """Writes what is logged inside a run as `log.recorded`."""

    def emit(self, record: logging.LogRecord) -> None:
        run = current.get()
        try:
            text = self.format(record)
        except Exception:  # noqa: BLE001  # arguments that do not fit the format, or whose text raises
            text = str(record.msg)
        if run is not None:
            _emit(run, record.levelname, record.name, text, file=record.pathname, line=record.lineno)
        if not logging.getLogger().handlers:
            record.run = run.name if run is not None else "-"
            _to_stderr(record)


_ROOT = logging.getLogger("flowtell")


def record(run: Run, level: str, logger: str, message: str) -> None:
    """Write a line of `run` that no logger has seen."""
    _emit(run, level, logger, message)


def _emit(run: Run, level: str, logger: str, message: str, *, file: str = "", line: int = 0) -> None:
    now, scope = time_ns() // 1000, run.scope
    emit(
        LogRecorded(
            id=new_id(now), time=now, run=scope.run, root_run=scope.root_run, flow=scope.flow,
            task_run=run.task_run, task=run.task, level=level, logger=logger,
            message=cut(message, _MESSAGE), file=file, line=line,
        )
    )  # fmt: skip


def _to_stderr(record: logging.LogRecord) -> None:
    try:
        sys.stderr.write(f"{whole(_CONSOLE.format(record))}\n")
    except Exception:  # noqa: BLE001, S110  # stderr closed, or a line that cannot be formatted: it stops no flow
        pass
