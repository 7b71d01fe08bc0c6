"""Which arguments may hold what an asset was made into, without anybody knowing.

Data always may: a filled container, bytes, an object that is not the very one that a task returned. So may numbers and
text once a run that brings assets has ended in the same root run, unless they are written in the calling code, or are
parameters of the root flow run, which came from outside; but what equals a value that such a run has returned always
may. `True` and `False` are settings until such a run has returned them, and `None` holds no data.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from flowtell.engine.containers import walk
from flowtell.engine.futures import Future
from flowtell.engine.marks import Mark
from flowtell.engine.provenance import ATOMS, elements, holds_data, is_container, is_cut

if TYPE_CHECKING:
    from flowtell.engine.provenance import Origins
    from flowtell.engine.task_runs import TaskRun

_ENGINE = os.path.join(os.path.dirname(__file__), "")
_FLAGS = (None, True, False)


def unfollowed(run: TaskRun) -> tuple[str, ...]:
    """Names of the arguments, each once: also of those that came from a run with unfollowed ones of its own."""
    from flowtell.engine.inputs import named

    origins = run.scope.origins
    names = [name for name, value in named(run.work, *run.given()) if _is_gap(value, run.written, origins)]
    if run.inputs is not None:
        names += [argument for argument, source, _ in run.inputs.sources if source.is_incomplete and argument != "wait_for"]
    return tuple(dict.fromkeys(names))


def written_by_caller() -> tuple[Any, ...]:
    """Constants in the code of whoever called into the engine, and the simple global values that it names."""
    frame = sys._getframe(1)  # noqa: SLF001  # what inspect.currentframe calls, without loading inspect
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_ENGINE):
        frame = frame.f_back
    held = frame.f_globals
    named = [held[name] for name in frame.f_code.co_names if name in held and type(held[name]) in ATOMS]
    constants = frame.f_code.co_consts
    spread = [one for constant in constants if type(constant) is tuple for one in constant]  # a list that stands there
    return (*constants, *spread, *named)


def _is_gap(value: Any, written: tuple[Any, ...] | None, origins: Origins) -> bool:
    if isinstance(value, Mark):
        return _is_gap(value.value, written, origins)
    if type(value) in ATOMS and type(value) is not bytes:
        return _may_derive(value, written, origins)
    if origins.of(value) is not None or _holds_future(value):
        return False
    if not is_container(value):
        return holds_data(value)
    inside = elements(value)
    if not any(origins.of(item) is not None for item in inside):
        return holds_data(value)
    return is_cut(value) or any(_is_gap(item, written, origins) for item in inside)


def _holds_future(value: Any) -> bool:
    return Future.any_made and any(isinstance(item, Future) for item in walk(value))


def _may_derive(value: Any, written: tuple[Any, ...] | None, origins: Origins) -> bool:
    if written is None:
        return False
    if origins.has_handed_out(value):
        return True
    return value not in _FLAGS and not _is_among(value, written) and not _is_among(value, origins.outside)


def _is_among(value: Any, values: Any) -> bool:
    return any(type(value) is type(one) and value == one for one in values)
