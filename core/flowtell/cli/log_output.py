"""What flowtell's own modules log goes to stderr, one line a record; a traceback only when debugging."""

from __future__ import annotations

import logging

from flowtell.cli.outcome import debugging


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if debugging():
            return super().format(record)
        return f"{record.levelname.capitalize()}: {' '.join(record.getMessage().split())}"


def log_to_stderr() -> None:
    """For commands that run no flow: in those, a flow's process decides what becomes of its logs."""
    logger = logging.getLogger("flowtell")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(_OneLine("%(levelname)s: %(name)s: %(message)s"))
        handler.setLevel(logging.WARNING)
        logger.addHandler(handler)
        logger.propagate = False
