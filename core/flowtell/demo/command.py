"""The tour: example pipelines on real data, with everything on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import cycle
from typing import Annotated, Any, Final

from cyclopts import App, Parameter

from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.options import Json
from flowtell.cli.outcome import WRONG
from flowtell.cli.output import Output

app = App(name="demo")

_REST: Final = 20.0
"""Seconds between two pipelines after the tour."""


@app.default
def demo(
    *,
    once: Annotated[
        bool, Parameter(help="End after the tour; the exit code is 1 when a part failed or a use saw nothing.")
    ] = False,
    port: Annotated[
        int | None, Parameter(help="Port of the pages. Default: server.port, or a free one where that is taken.")
    ] = None,
    json: Json = False,
) -> int:
    """Run example pipelines on real data, with everything on, and show where to look at them.

    They write into the home, FLOWTELL_HOME, under the environment 'demo'; every command sees them there afterwards.
    After the tour the pages stay, and pipelines go on now and then, until Ctrl-C.
    """
    from flowtell.demo.stage import open_stage

    log_to_stderr()
    output = Output(json=json)
    with open_stage(port) as stage:
        if stage.moved:
            output.say(f"The port is taken, so the pages are on {stage.url}.")
        well = _tour(stage, output)
        if not once:
            _go_on(stage, output)
    return 0 if well else WRONG


def _tour(stage: Any, output: Output) -> bool:
    from flowtell.demo.process import play
    from flowtell.demo.screen import Screen
    from flowtell.demo.sights import look
    from flowtell.demo.steps import TOUR, with_backup

    steps = with_backup(TOUR)
    screen, outcomes = Screen(output, steps), []
    with screen.playing():
        for step in steps:
            outcomes.append(play(step, stage))
            screen.ended(outcomes[-1])
    sights = look(stage, outcomes)
    if output.json:
        output.print_json(_document(stage, outcomes, sights))
    else:
        screen.show_sights(sights, stage)
    output.flush()
    return all(outcome.as_expected for outcome in outcomes) and all(sight.saw for sight in sights)


def _document(stage: Any, outcomes: Sequence[Any], sights: Sequence[Any]) -> dict[str, Any]:
    return {
        "url": stage.url,
        "home": stage.config.home,
        "steps": [
            {
                "flow": outcome.step.flow,
                "run": outcome.run.id if outcome.run else "",
                "state": outcome.run.state if outcome.run else "",
                "expected": outcome.step.ends,
                "task_runs": len(outcome.tasks),
            }
            for outcome in outcomes
        ],
        "uses": {sight.use: {"saw": sight.saw, "install": sight.install, **sight.figures} for sight in sights},
    }


def _go_on(stage: Any, output: Output) -> None:
    """Until Ctrl-C."""
    from flowtell.demo.process import play
    from flowtell.demo.steps import AFTERWARDS

    output.say(f"A pipeline runs every {_REST:.0f} s, {stage.url} shows it live. Ctrl-C ends it; the data stays.")
    try:
        for step in cycle(AFTERWARDS):
            time.sleep(_REST)
            play(step, stage)
    except KeyboardInterrupt:
        output.say("Stopped.")
