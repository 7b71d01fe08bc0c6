"""What flowtell's own modules log goes to stderr, one line a record; a traceback only when debugging."""

from __future__ import annotations

import logging
import sys

from flowtell.cli.outcome import debugging


class _OneLine(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        said = self.format(record) if debugging() else " ".join(record.getMessage().split())
        print(f"{record.levelname.capitalize()}: {said}", file=sys.stderr)


def log_to_stderr() -> None:
    """For commands that run no flow: in those, a flow's process decides what becomes of its logs."""
    _heard("flowtell", logging.WARNING)
    _heard("flowtell.runner.calls", logging.INFO).setLevel(logging.INFO)  # said only where `plugins.trace` asks for it


def _heard(name: str, level: int) -> logging.Logger:
    logger = logging.getLogger(name)
    if not any(isinstance(handler, _OneLine) for handler in logger.handlers):
        logger.addHandler(_OneLine(level))
        logger.propagate = False
    return logger
