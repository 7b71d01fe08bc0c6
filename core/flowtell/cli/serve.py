"""Serve a flow: start its runs when they are due, each in a process of its own."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from flowtell.cli.flow_target import find_flow
from flowtell.cli.flow_words import parameters_of
from flowtell.cli.outcome import Misuse
from flowtell.engine.serving import serve as serve_deployments
from flowtell.events import Schedule
from flowtell.schedules import OVERLAPS, Overlap, cron, every

app = App(name="serve")


@app.default
def serve(
    target: Annotated[
        str, Parameter(help="MODULE:FLOW or FILE.py:FLOW; the flow's name may be left out where it is the only one.")
    ],
    /,
    *,
    name: Annotated[str, Parameter(help="The deployment's name; default: the flow's.")] = "",
    cron_lines: Annotated[
        tuple[str, ...], Parameter(name="--cron", help="A cron line, such as '0 2 * * *'; give it again for more.")
    ] = (),
    intervals: Annotated[
        tuple[str, ...], Parameter(name="--every", help="A span, such as 15m; give it again for more.")
    ] = (),
    tz: Annotated[str, Parameter(help="The zone of the cron lines, such as Europe/Berlin.")] = "UTC",
    overlap: Annotated[str, Parameter(help="When the run before has not ended: skip, queue or allow.")] = "skip",
    catch_up: Annotated[
        str, Parameter(help="Of missed due times: none, latest or all; a span bounds it, as in 'all 7d'.")
    ] = ("latest"),
    jitter: Annotated[str, Parameter(help="Start up to this long after the due time.")] = "0s",
    limit: Annotated[int | None, Parameter(help="How many runs may be open at a time.")] = None,
    param: Annotated[
        tuple[str, ...], Parameter(name=["--param", "-p"], help="A parameter as key=value; give it again for more.")
    ] = (),
    paused: Annotated[bool, Parameter(help="Declare and serve it, and start nothing.")] = False,
) -> None:
    """Serve a flow until SIGTERM or Ctrl-C: start its runs when they are due, each in a process of its own.

    Running runs are then asked to clean up and end. A second process that serves the same deployment waits and takes over.
    """
    if not cron_lines and not intervals:
        raise Misuse("Say when it is due: --cron '0 2 * * *' or --every 15m.")
    policies = {"overlap": _overlap(overlap), "catch_up": catch_up, "jitter": jitter}
    schedules: list[Schedule] = [
        *(cron(line, tz, **policies) for line in cron_lines),  # type: ignore[arg-type]
        *(every(span, **policies) for span in intervals),  # type: ignore[arg-type]
    ]
    flow = find_flow(target)
    deployment = flow.to_deployment(
        name or flow.name, schedules=schedules, parameters=parameters_of(param), limit=limit, paused=paused
    )
    serve_deployments(deployment)


def _overlap(name: str) -> Overlap:
    for known in OVERLAPS:
        if name == known:
            return known
    raise Misuse(f"There is no overlap policy '{name}'. There are: {', '.join(OVERLAPS)}.")
