"""Why a rule fired or did not: judged once more by what the tables hold now, with its reference, due time and watermark.

Nothing is written. The rules, the facts and the judging are the evaluator's own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, cast

from msgspec import Struct

from flowtell.events import RuleData
from flowtell_alerts._known import Known
from flowtell_alerts._memory import Memory
from flowtell_alerts._rulebook import Rulebook
from flowtell_alerts._rules import Rule
from flowtell_alerts._verdict import Spell
from flowtell_alerts.errors import RuleNotFound
from flowtell_alerts.evaluator import judge
from flowtell_alerts.reading import Read, RuleStatus, rules

if TYPE_CHECKING:
    from flowtell.plugin import Context

MOST: Final = 10_000
"""Rules that are looked through."""


class Finding(Struct, frozen=True):
    """What is wrong now, as an incident would say it. Moments are µs since the epoch."""

    text: str
    since: int
    due: int | None
    evidence: dict[str, Any]


class Explained(Struct, frozen=True, kw_only=True):
    """One rule of one subject, judged at `at`."""

    key: str
    subject: str
    environment: str
    rule: RuleData
    place: str
    origin: str
    found: str
    """The evaluator's last verdict; empty until it has judged the rule."""
    changed: int | None
    """Since when that is its verdict."""
    at: int
    reason: str
    """The named reason by what is known now; empty where nothing is known of the subject yet."""
    holds: bool | None
    wrong: tuple[Finding, ...] = ()
    again: int | None = None
    """When it is judged next though nothing happens."""
    watermark: int | None = None
    """What the log must be complete up to before it can be judged further."""


def explain(read: Read, wanted: str, now: int) -> list[Explained]:
    """Why each rule holds or does not, that has this key or is about the flow, deployment, asset or event of this name.

    Raises:
        RuleNotFound: there is none.
    """
    found = [rule for rule in rules(read, limit=MOST) if wanted in _names(rule)]
    if not found:
        raise RuleNotFound(wanted)
    known = _known(read, now)
    return [_explained(status, known, now) for status in found]


def _names(status: RuleStatus) -> Iterator[str]:
    yield status.key
    yield status.flow
    yield f"{status.flow}/{status.deployment}"
    if status.subject_name:
        yield status.subject_name


def _known(read: Read, now: int) -> dict[str, tuple[Known, Rule]]:
    """What the evaluator would know if it were made anew here, by the rules' keys."""
    context = cast("Context", _Reading(read, now))
    memory = Memory(context)
    Rulebook(context, memory, "")
    subjects = [memory.of(key) for key in memory.subjects()]
    return {rule.key: (known, rule) for known in subjects for rule in known.rules}


class _Reading:
    """As much of a plugin's context as reading needs."""

    name = "alerts"
    logger = logging.getLogger("flowtell.plugin.alerts")

    def __init__(self, read: Read, now: int) -> None:
        self.read = read
        self.clock = lambda: now


def _explained(status: RuleStatus, known: dict[str, tuple[Known, Rule]], now: int) -> Explained:
    facts: dict[str, Any] = {
        "key": status.key,
        "subject": status.subject_name or (f"{status.flow}/{status.deployment}" if status.deployment else status.flow),
        "environment": status.environment,
        "rule": status.rule,
        "place": status.place,
        "origin": status.origin,
        "found": status.verdict,
        "changed": status.changed,
        "at": now,
    }
    if status.key not in known:
        return Explained(**facts, reason="", holds=None)
    subject, rule = known[status.key]
    verdict = judge(rule, subject, now)
    return Explained(
        **facts,
        reason=str(verdict.reason) if not rule.problem else f"{verdict.reason}: {rule.problem}",
        holds=verdict.holds if verdict.known else None,
        wrong=tuple(_finding(spell) for spell in verdict.spells if spell.until is None),
        again=verdict.again,
        watermark=verdict.needs,
    )


def _finding(spell: Spell) -> Finding:
    return Finding(spell.text, spell.since, spell.due, spell.evidence)


__all__ = ["Explained", "Finding", "explain"]
