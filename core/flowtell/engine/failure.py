"""An exception as text for the event log: bounded, and without the engine's own frames."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flowtell.cutting import cut, whole
from flowtell.engine.far_traceback import FarTraceback
from flowtell.events import Failure

if TYPE_CHECKING:
    from traceback import TracebackException

_MESSAGE = 4_000
_TRACEBACK = 16_000
_ENGINE = os.path.dirname(__file__)


def failure_of(error: BaseException, *, with_traceback: bool = True) -> Failure:
    """Never raises: an exception whose own text raises is kept by its type."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        message = cut(str(error), _MESSAGE)
    except Exception:  # noqa: BLE001  # whatever a user's __str__ raises
        message = "<its text cannot be had>"
    return Failure(type=name, message=message, traceback=_traceback(error) if with_traceback else "")


def _traceback(error: BaseException) -> str:
    from traceback import TracebackException

    if isinstance(error.__cause__, FarTraceback):
        return error.__cause__.text
    try:
        told = TracebackException.from_exception(error, limit=-50)
        _leave_out_engine(told, set())
        text = "".join(told.format())
    except Exception:  # noqa: BLE001  # source that cannot be read, texts that raise
        return ""
    if len(text) <= _TRACEBACK:
        return text
    text = whole(text)
    return f"{text[: _TRACEBACK // 4]}\n  …\n{text[-_TRACEBACK * 3 // 4 :]}"


def _leave_out_engine(told: TracebackException, seen: set[int]) -> None:
    """Drop our frames from the exception and from all that it was raised during or from."""
    if id(told) in seen:
        return
    seen.add(id(told))
    told.stack[:] = [frame for frame in told.stack if os.path.dirname(frame.filename) != _ENGINE]
    for linked in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if linked is not None:
            _leave_out_engine(linked, seen)
