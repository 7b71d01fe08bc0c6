"""`return_state=True`: how a run ended in place of what it returned or raised. Loaded when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowtell.engine import drivers
from flowtell.engine.states import State

if TYPE_CHECKING:
    from flowtell.engine.runs import Run


def run_for_state(run: Run) -> Any:
    """Run it here, and give its state, or of a coroutine function what gives it when it is awaited.

    What stops more than the run (Ctrl-C, the end of the program) is raised all the same.

    Raises:
        TypeError: the function is a generator, which has not ended when its call returns.
    """
    colour = run.work.colour
    if colour.endswith("generator"):
        raise TypeError(f"{run.kind} {run.work.name} is a generator: it has no end yet whose state could be returned")
    return _awaited(run) if colour == "async" else _called(run)


def _called(run: Run) -> State:
    try:
        value = drivers.call(run)
    except Exception as error:  # noqa: BLE001  # told by the state
        return _state(run, error)
    return _state(run, None, value)


async def _awaited(run: Run) -> State:
    try:
        value = await drivers.call_async(run)
    except Exception as error:  # noqa: BLE001  # told by the state
        return _state(run, error)
    return _state(run, None, value)


def _state(run: Run, error: Exception | None, value: Any = None) -> State:
    """The very one that a flow returned, with what it says."""
    returned: State | None = getattr(run, "returned", None)
    return State(run.state, error, value) if returned is None else returned
