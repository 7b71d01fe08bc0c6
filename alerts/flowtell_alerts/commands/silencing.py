"""`flowtell alerts silence`, `silences` and `unsilence`: tell nobody of some incidents for a while."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from cyclopts import Parameter

from flowtell.cli import cells
from flowtell.cli.actor import actor
from flowtell.cli.options import Json
from flowtell.cli.outcome import Misuse
from flowtell.cli.session import Session, open_session
from flowtell.rules import seconds
from flowtell.runner import system_clock
from flowtell_alerts.commands.saying import say
from flowtell_alerts.reading import Silence, get_silence, incidents, silences
from flowtell_alerts.silences import covers, early_end, new_silence, silence_made_by

_COLUMNS = ("silence", "of", "from", "until", "by", "reason")


def silence(
    *,
    for_: Annotated[str, Parameter(name="--for", help="How long, such as 90m or 2h.")] = "",
    until: Annotated[str, Parameter(help="When it ends, such as 2026-11-25T07:00; local unless it names a zone.")] = "",
    from_: Annotated[str, Parameter(name="--from", help="When it begins. Default: now.")] = "",
    reason: Annotated[str, Parameter(help="Why. Must be given.")] = "",
    flow: str = "",
    deployment: str = "",
    environment: str = "",
    tag: str = "",
    owner: str = "",
    rule: str = "",
    severity: str = "",
    subject: str = "",
    json: Json = False,
) -> None:
    """Tell nobody of incidents that fit every pattern given, for a while. They open and are listed all the same.

    Patterns are as in a shell, such as --flow 'nightly*'; '!' in front turns one round. What is still open when the silence
    ends is told then.

    Args:
        flow: Of this flow.
        deployment: Of this deployment.
        environment: In this environment.
        tag: Of a flow or deployment with this tag.
        owner: Of this owner.
        rule: Of rules of this kind, such as late, or with this key.
        severity: Of this severity.
        subject: About this subject, such as an asset.
    """
    now = system_clock()
    given = {"flow": flow, "deployment": deployment, "environment": environment, "tag": tag, "owner": owner, "rule": rule}
    matchers = {key: value for key, value in {**given, "severity": severity, "subject": subject}.items() if value}
    since = _moment(from_, "--from") if from_ else now
    event = new_silence(matchers, since=since, until=_end(since, for_, until), actor=actor(), reason=reason, now=now)
    say(event)
    made = silence_made_by(event)
    assert made is not None
    with open_session(json=json) as session:
        if json:
            session.print_json(made)
            return
        covered = sum(covers(made.matchers, incident) for incident in incidents(session.read, open_only=True, limit=10_000))
        ends = cells.moment(made.until).shown
        session.print_row([made.silence])
        session.say(f"Silent until {ends}: {_said(made)}. Covers {covered} open incident{'s' if covered != 1 else ''}.")


def list_silences(
    *, all: Annotated[bool, Parameter(name="--all", negative="")] = False, limit: int = 100, json: Json = False
) -> None:
    """List the silences that hold or will.

    Args:
        all: Also those that are over, for a month.
        limit: How many to list.
    """
    with open_session(json=json) as session:
        found = silences(session.read, now=None if all else system_clock(), limit=max(limit, 1))
        if json:
            session.print_json(found)
        elif found:
            session.print_table(_COLUMNS, [_row(each) for each in found])
        else:
            session.say("No silences. 'flowtell alerts silence --flow NAME --for 2h --reason WHY' makes one.")


def unsilence(id: str, /, *, json: Json = False) -> None:
    """End a silence before its time. What it covers and is open is told then.

    Args:
        id: The silence's id, or the eight digits that the table shows.
    """
    with open_session(json=json) as session:
        now = system_clock()
        found = get_silence(session.read, id, now)
        say(early_end(found, actor=actor(), now=now))
        session.catch_up()
        _tell_ended(session, found)


def _tell_ended(session: Session, ended: Silence) -> None:
    if session.json:
        session.print_json(ended)
    else:
        session.say(f"Silence {cells.short_id(ended.silence).shown} is over: {_said(ended)}.")


def _row(silence: Silence) -> tuple[cells.Value, ...]:
    return (
        cells.short_id(silence.silence),
        cells.Cell(_said(silence), _said(silence)),
        cells.moment(silence.since),
        cells.moment(silence.over),
        silence.actor,
        silence.reason,
    )


def _said(silence: Silence) -> str:
    """Such as `flow=nightly* environment=prod`."""
    return " ".join(f"{key}={pattern}" for key, pattern in sorted(silence.matchers.items()))


# --- moments ------------------------------------------------------------------------------------------------------


def _end(since: int, span: str, until: str) -> int:
    if bool(span) == bool(until):
        raise Misuse("Say when the silence ends: --for 2h, or --until 2026-11-25T07:00.")
    if until:
        return _moment(until, "--until")
    try:
        return since + int(seconds(span) * cells.SECOND)
    except ValueError as error:
        raise Misuse(f"--for: {error}.") from error


def _moment(text: str, option: str) -> int:
    """µs since the epoch; in this machine's zone unless the text names one."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * cells.SECOND)
    except (ValueError, OverflowError, OSError) as error:
        raise Misuse(f"{option}: '{text[:40]}' is no moment such as 2026-11-25T07:00 or 2026-11-25T06:00Z.") from error


__all__ = ["list_silences", "silence", "unsilence"]
