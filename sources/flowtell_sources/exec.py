"""Run any command, such as a cron line, as an observed run."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from flowtell.cli.outcome import Misuse
from flowtell.errors import BadSchedule
from flowtell.events import Schedule
from flowtell.rules import seconds
from flowtell.schedules import cron
from flowtell_sources.observed import ObservedCommand

app = App(name="exec")


@app.default
def exec_(
    *command: Annotated[str, Parameter(help="The command and its arguments, after `--`.")],
    flow: str,
    name: str = "",
    tag: tuple[str, ...] = (),
    timeout: str = "",
    capture: int = 0,
    schedule: str = "",
    tz: str = "",
    grace: str = "",
    deployment: str = "",
) -> int:
    """Run any command, such as a cron line, as an observed run.

    The command keeps stdin, stdout, stderr and its exit code, and gets every signal; nothing is printed beside it. The
    run fails when the exit code is not 0. Exit codes of its own: 124 time-out, 126 not executable, 127 not found.

    Args:
        flow: Name of the flow that the run is one of.
        name: Name of the run.
        tag: A tag of the run; give it again for more.
        timeout: Stop the command after this long, such as 90s, 30m or 2h: SIGTERM, ten seconds later SIGKILL.
        capture: Keep the last so many lines of stdout and of stderr as the run's logs. Both are pipes then.
        schedule: The cron line by which something starts this command. Nothing is started by it here: rules then know
            when the command is due, also when it does not come.
        tz: The time zone of the schedule, such as Europe/Berlin; default: UTC.
        grace: How late a start may be before rules call it late, such as 15m.
        deployment: Name of what has this schedule; default: the flow's. Two machines that run one flow need two names.
    """
    if not command:
        raise Misuse("There is no command: write it after '--', as in 'flowtell exec --flow backup -- tar czf b.tgz /srv'.")
    if capture < 0:
        raise Misuse("--capture counts lines: at least 0")
    _check_deployment(schedule, tz=tz, grace=grace, deployment=deployment)
    schedules = (_cron(schedule, tz, grace),) if schedule else ()
    observed = ObservedCommand(command, flow=flow, name=name, tags=tag, deployment=deployment, schedules=schedules)
    return observed.run(timeout=_seconds(timeout), capture=capture)


def _seconds(timeout: str) -> float | None:
    if not timeout:
        return None
    try:
        return seconds(float(timeout) if timeout.replace(".", "", 1).isdigit() else timeout)
    except ValueError as error:
        raise Misuse(f"--timeout: {error}") from error


def _check_deployment(schedule: str, **others: str) -> None:
    given = [name for name, value in others.items() if value]
    if given and not schedule:
        raise Misuse(f"--{given[0]} says more of a schedule: give the cron line too, as --schedule '0 2 * * *'")


def _cron(line: str, tz: str, grace: str) -> Schedule:
    try:
        return cron(line, tz or "UTC", grace=grace or None)
    except BadSchedule as error:
        raise Misuse(f"--schedule: {error}") from error
