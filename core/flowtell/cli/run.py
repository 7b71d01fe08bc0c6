"""Run a flow in this process."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

from cyclopts import App, Parameter

from flowtell.cli.flow_target import find_flow
from flowtell.cli.flow_words import parameters_of
from flowtell.cli.options import Json
from flowtell.cli.outcome import debugging
from flowtell.cli.run_ending import FlowFailed, told_how_it_ended
from flowtell.cli.signals import interrupted_by_signals
from flowtell.engine.cancellation import cancelled_from_outside, say_asked_to_end
from flowtell.errors import FlowtellError

app = App(name="run")


@app.default
def run(
    target: Annotated[
        str, Parameter(help="MODULE:FLOW or FILE.py:FLOW; the flow's name may be left out where it is the only one.")
    ],
    /,
    *,
    param: Annotated[
        tuple[str, ...], Parameter(name=["--param", "-p"], help="A parameter as key=value; give it again for more.")
    ] = (),
    json: Json = False,
) -> int:
    """Run a flow in this process. SIGTERM cancels the run as Ctrl-C does.

    The exit code is 0 when the run completed, 1 when it failed, and 128 and the signal's number when one ended it.
    """
    parameters = parameters_of(param)
    flow = find_flow(target)
    with interrupted_by_signals(say_asked_to_end), told_how_it_ended(json=json), cancelled_from_outside():
        try:
            _run_to_end(flow, parameters)
        except FlowtellError:
            raise
        except Exception as error:
            if debugging():
                raise
            raise FlowFailed(flow.name, error) from error
    return 0


def _run_to_end(flow: Any, parameters: dict[str, str]) -> None:
    result = flow(**parameters)
    if inspect.iscoroutine(result):
        _await(result)
    elif inspect.isasyncgen(result):
        _await(_exhausted(result))
    elif inspect.isgenerator(result):
        for _ in result:
            pass


def _await(coroutine: Any) -> None:
    import asyncio

    asyncio.run(coroutine)


async def _exhausted(steps: Any) -> None:
    async for _ in steps:
        pass
