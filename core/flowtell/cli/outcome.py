"""How a command's end is told: an exit code, and one line on stderr where something is wrong. Never a traceback unasked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from flowtell.errors import FlowtellError

WRONG = 1
MISUSED = 2
BY_SIGNAL = 128
"""Added to the number of the signal that ended a command, as a shell does."""

_SIGINT = 2
_SIGPIPE = 13


class Misuse(FlowtellError):
    """A command line that names no command, or an option that the command does not have."""

    code = "FT1600"


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end; whoever handles Ctrl-C handles it too."""

    def __init__(self, number: int, signal: str) -> None:
        self.number, self.signal = number, signal
        super().__init__(signal)


def debugging() -> bool:
    """Whether tracebacks are wanted: `--debug`, or FLOWTELL_DEBUG=1."""
    return os.environ.get("FLOWTELL_DEBUG", "") not in ("", "0")


def settle(action: Callable[[], int]) -> int:
    """Run `action` and return its exit code, or the one of how it failed."""
    try:
        code = action()
        sys.stdout.flush()
        return code
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  # whatever it was, it is told in one line
        if debugging():
            _print_traceback()
        return _told(error)


def _told(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return BY_SIGNAL + (error.number if isinstance(error, Interrupted) else _SIGINT)
    if isinstance(error, BrokenPipeError):
        _let_go_of_stdout()
        return BY_SIGNAL + _SIGPIPE
    if isinstance(error, FlowtellError):
        _say(f"Error {error.code}: {_on_one_line(error)}")
        return MISUSED if isinstance(error, Misuse) else WRONG
    _say(f"Error: {type(error).__name__}: {_on_one_line(error)} (FLOWTELL_DEBUG=1 shows where)")
    return WRONG


def _on_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _say(line: str) -> None:
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # nobody listens there either
        pass


def _print_traceback() -> None:
    import traceback

    traceback.print_exc()


def _let_go_of_stdout() -> None:
    """What is still buffered goes nowhere: Python would try to write it once more at exit, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
