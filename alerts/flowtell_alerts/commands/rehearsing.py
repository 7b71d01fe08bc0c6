"""`flowtell alerts dry-run`: what today's rules would have told of the past."""

from __future__ import annotations

import os
from typing import Annotated, Any, Final

from cyclopts import Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.outcome import Misuse
from flowtell.cli.progress import progress_bar
from flowtell.cli.session import Session, open_session
from flowtell.rules import seconds
from flowtell.runner import system_clock
from flowtell_alerts.incidents import Incident, shown
from flowtell_alerts.rehearsal import Rehearsed, rehearse
from flowtell_alerts.strip import legend, strip

_COLUMNS: Final = ("opened", "lasted", "of", "environment", "rule", "severity", "told", "reason")
_STRIP_WIDTH: Final = 60
_STRIPS: Final = 40


def dry_run(
    *,
    since: Annotated[str, Parameter(help="How far back, such as 30d or 12h.")] = "7d",
    rules: Annotated[str, Parameter(help="A file with [[rules]]. Default: the configuration's own.")] = "",
    flow: Annotated[str, Parameter(help="Show only incidents of this flow.")] = "",
    limit: Annotated[int, Parameter(help="How many incidents to list, the newest; all are counted.")] = 100,
    json: Json = False,
) -> None:
    """Show what today's rules would have told of the past. Nothing is opened, written or sent.

    The log's events are judged again, minute by minute, by the rules, schedules and deployments of today. Silences of then
    are left out.
    """
    length, path = _length(since), _rules_file(rules)
    with open_session(json=json) as session:
        until = system_clock()
        with progress_bar(session, "judging what was") as advance:
            found = rehearse(
                session.store.log, session.read, since=until - length, until=until, advance=advance,
                rules_path=path or session.config.rules_path,
            )  # fmt: skip
        _print(session, found, flow, max(limit, 1))


def _length(text: str) -> int:
    try:
        return int(seconds(text) * cells.SECOND)
    except ValueError as error:
        raise Misuse(f"--since: {error}.") from error


def _rules_file(path: str) -> str:
    if path and not os.path.isfile(path):
        raise Misuse(f"--rules: there is no file '{path}'.")
    return os.path.abspath(path) if path else ""


def _print(session: Session, found: Rehearsed, flow: str, limit: int) -> None:
    incidents = [incident for incident in found.incidents if flow in ("", incident.flow)]
    if session.json:
        session.print_json(_told(found, incidents))
        return
    if incidents and session.rich:
        lines = strip(incidents, found.since, found.until, told=found.told, width=_STRIP_WIDTH, most=_STRIPS)
        for line in lines:
            session.console.print(line.name, line.picture, sep="  ", soft_wrap=True)
        session.say(legend(found.since, found.until))
    session.print_table(_COLUMNS, [_row(incident, found) for incident in incidents[-limit:]])
    session.say(_summary(found, incidents))


def _told(found: Rehearsed, incidents: list[Incident]) -> dict[str, Any]:
    named = [
        {
            **shown(incident),
            "opened_as": found.reasons.get(incident.incident, ""),
            "told": incident.incident in found.told,
            "muted": found.muted.get(incident.incident, ""),
        }
        for incident in incidents
    ]
    return {
        "since": found.since,
        "until": found.until,
        "events": found.events,
        "told": sum(incident.incident in found.told for incident in incidents),
        "incidents": named,
    }


def _row(incident: Incident, found: Rehearsed) -> tuple[cells.Value, ...]:
    told = incident.incident in found.told
    why = found.muted.get(incident.incident, "")
    return (
        cells.moment(incident.opened),
        cells.lasted(incident.since, incident.resolved or found.until, None),
        incident.subject.name,
        incident.environment,
        incident.rule.kind,
        incident.severity,
        cells.Cell("told" if told else why, "told" if told else why, "bold" if told else "dim"),
        found.reasons.get(incident.incident, incident.reason),
    )


def _summary(found: Rehearsed, incidents: list[Incident]) -> str:
    told = sum(incident.incident in found.told for incident in incidents)
    quiet = ", ".join(f"{count} {why}" for why, count in sorted(found.quiet.items()))
    days = (found.until - found.since) / 86_400e6
    muted = f" ({quiet})" if quiet else ""
    count = f"{len(incidents)} incident{'s' if len(incidents) != 1 else ''}"
    would = f"of {told} somebody would have been told{muted}"
    return f"{found.events} events of {days:.3g} days: {count}, {would}. Nothing was opened or sent."


__all__ = ["dry_run"]
