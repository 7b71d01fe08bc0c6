"""What is logged in an isolated plugin's process goes to the server's log, up to a bound."""

from __future__ import annotations

import logging
import threading
from typing import Final

from flowtell.runner.flood import Flood
from flowtell.runner.isolation import messages as m
from flowtell.runner.isolation.line import Line

_LONGEST: Final = 4_000


class _ToServer(logging.Handler):
    """Whatever the logger, as the server's own loggers are no business of the plugin."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line
        self._inside = threading.local()

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(self._inside, "saying", False):  # the pipe's own trouble is not told through the pipe
            return
        self._inside.saying = True
        try:
            trace = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
            self._line.say(m.Logged(record.levelno, record.getMessage()[:_LONGEST], trace[-_LONGEST:]))
        except Exception:  # noqa: BLE001  # a record whose arguments do not fit is that record's trouble
            self.handleError(record)
        finally:
            self._inside.saying = False


def log_to(line: Line, level: int) -> None:
    """Send records of all loggers, of `level` and above."""
    handler = _ToServer(line)
    handler.addFilter(Flood())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
