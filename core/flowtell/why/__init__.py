"""Why a run is late, slow or failed: from the log alone, as a chain of facts with evidence. Never a guess.

Everything is read when somebody asks; nothing is done before.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Row, select

from flowtell.errors import NothingKnown, RunNotFound
from flowtell.store.reading import Read
from flowtell.store.tables import flows, runs
from flowtell.why import explainers
from flowtell.why.answer import CAUSES, Change, Expected, Fact, Hit, Why
from flowtell.why.causes import Chain
from flowtell.why.explainers import Explainer, Found
from flowtell.why.facts import Facts
from flowtell.why.history import changes, expected, made_by


def why_run(read: Read, run: str, at: int, *, subject: str = "") -> Why:
    """Why the run stands as it did at the moment `at`, in µs.

    Args:
        read: runs one SELECT, such as the `read` of an open store or of a plugin's context.
        run: its id, or what begins it, as every command takes it.

    Raises:
        RunNotFound: the log has it not, or not any more.
    """
    return _answer(Facts(read, at), run, subject)


def why_flow(read: Read, flow: str, at: int, *, deployment: str = "", environment: str = "", due: int | None = None) -> Why:
    """Why the flow's run that matters most stands as it does: one that is due and has not begun, else the latest.

    With `due`, a time for which a run should be there: where none is, why it has not begun.

    Raises:
        NothingKnown: the log has no run of it.
    """
    facts = Facts(read, at)
    found = facts.latest(flow, deployment, environment)
    name = f"{flow}/{deployment}" if deployment else flow
    if not found:
        raise NothingKnown(name)
    run, subject = min(found, key=lambda run: _rank(run, at)), f"{'deployment' if deployment else 'flow'} {name}"
    if due is not None and (run.due or run.started or run.changed) < due:
        return _not_begun(facts, run.id, subject, due)
    return _answer(facts, run.id, subject)


def why(read: Read, wanted: str, at: int, *, environment: str = "") -> Why:
    """`why_flow` for a flow's name, or a deployment as FLOW/NAME; `why_run` for a run; else what an explainer knows of it,
    such as an asset or an incident.

    Raises:
        NothingKnown: it is none of these.
    """
    flow, _, deployment = wanted.partition("/")
    for name, part in ((wanted, ""), (flow, deployment)):
        if name and read(select(runs.c.id).where(runs.c.flow == name).limit(1)):
            return why_flow(read, name, at, deployment=part, environment=environment)
    try:
        return why_run(read, wanted, at)
    except RunNotFound as error:
        found = explainers.about(read, wanted, at)
        if found is not None:
            return _explained(read, found, at)
        if error.found:
            raise
        names = [row.flow for row in read(select(flows.c.flow).distinct().limit(10_000))]
        raise NothingKnown(wanted, next(iter(get_close_matches(wanted, names, n=1)), "")) from None


def _not_begun(facts: Facts, last: str, subject: str, due: int) -> Why:
    """Of a due time without a run: by the run before it."""
    here, chain = facts.run(last), Chain(facts)
    found = here.run
    links, made = chain.of_none(here, due), made_by(facts, found.id)
    return Why(
        subject=subject, at=facts.at, flow=found.flow, deployment=found.deployment, environment=found.environment, due=due,
        chain=links, missing=tuple(chain.missing), compared=found.id, impact=explainers.impact(facts.read, made, facts.at),
    )  # fmt: skip


def _explained(read: Read, found: Found, at: int) -> Why:
    """The explainer's facts, and why the run, flow or other subject that they lead to stands as it does."""
    beyond = _beyond(read, found, at)
    if beyond is None:
        missing = () if found.facts else (f"what has become of {found.subject}",)
        return Why(subject=found.subject, at=at, chain=found.facts, missing=missing)
    is_first = found.well and beyond.cause not in ("completed", "unknown")
    chain = (*beyond.chain, *found.facts) if is_first else (*found.facts, *beyond.chain)
    return replace(beyond, subject=found.subject, chain=chain)


def _beyond(read: Read, found: Found, at: int) -> Why | None:
    try:
        if found.run:
            return why_run(read, found.run, at)
        if found.flow:
            return why_flow(read, found.flow, at, deployment=found.deployment, environment=found.environment, due=found.due)
        following = explainers.about(read, found.next, at) if found.next else None
        return _explained(read, following, at) if following is not None else None
    except (RunNotFound, NothingKnown) as error:
        return Why(subject=found.subject, at=at, missing=(str(error),))


def _rank(run: Row[Any], at: int) -> tuple[int, int]:
    """What is overdue first, the longest; then what is open; then what ended last; what is yet to come last."""
    if run.started is None and (run.ended is None or run.ended > at):
        due = run.due if run.due is not None else run.changed
        return (0, due) if due <= at else (3, due)
    if run.ended is None or run.ended > at:
        return 1, -(run.started or 0)
    return 2, -run.ended


def _answer(facts: Facts, run: str, subject: str) -> Why:
    here = facts.run(run)
    found, chain = here.run, Chain(facts)
    links = chain.of(found.id)
    before = facts.before(found)
    good = facts.run(before[0].id).run if before else None
    missing = chain.missing if good is not None else [*chain.missing, "a run before it that ended well, to compare with"]
    if not here.whole:
        missing.append("its latest events: it has more than are looked at")
    made = made_by(facts, good.id) - made_by(facts, found.id) if good is not None else set()
    return Why(
        subject=subject or f"run {found.id}",
        at=facts.at,
        flow=found.flow,
        run=found.id,
        deployment=found.deployment,
        environment=found.environment,
        state=found.state,
        due=found.due,
        started=found.started,
        chain=links,
        missing=tuple(missing),
        expected=expected(facts, found),
        compared=good.id if good is not None else "",
        changed=tuple(changes(facts, here, good)) if good is not None else (),
        impact=explainers.impact(facts.read, made, facts.at) if found.state not in ("completed", "cached") else (),
    )


__all__ = ["CAUSES", "Change", "Expected", "Explainer", "Fact", "Found", "Hit", "Why", "why", "why_flow", "why_run"]
