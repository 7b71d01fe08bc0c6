"""The verdict as a table: what is known, the rule, the moment, and the named reason that follows."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell import rules
from flowtell_alerts._kind import HOUR
from flowtell_alerts._known import Known
from flowtell_alerts._rules import Rule, understand
from flowtell_alerts._stated import Stated
from flowtell_alerts._subject import runs_of
from flowtell_alerts.evaluator import NOT_UNDERSTOOD, judge
from flowtell_alerts.kinds.failed import Ends
from flowtell_alerts.kinds.failed import Reason as Failed
from flowtell_alerts.kinds.too_long import Reason as TooLong
from flowtell_alerts.kinds.too_long import Spans

S = 1_000_000
NOW = 100 * HOUR


def stated(rule: e.RuleData, flow: str = "nightly", environment: str = "test") -> Rule:
    return understand(runs_of(flow, environment), Stated(rule, "code"))


def known(ends: str = "", spans: list[tuple[float, float | None]] = (), rule: e.RuleData | None = None) -> Known:
    """Facts of a flow whose runs ended a second apart until now: `f` failed, `c` completed, `x` cancelled.

    `spans` are runs by their start and end in seconds before now.
    """
    facts = Known(runs_of("nightly", "test"))
    facts.hold([stated(rule)] if rule else [])
    states = {"f": "failed", "t": "timed_out", "k": "crashed", "c": "completed", "h": "cached", "x": "cancelled"}
    for place, letter in enumerate(ends):
        at = NOW - (len(ends) - place) * S
        facts.take(Ends, e.FlowRunFinished(id=f"end{place}", time=at, run=f"r{place}", state=states[letter]), NOW)
    for place, (began, ended) in enumerate(spans):
        facts.take(Spans, e.FlowRunStarted(id=f"start{place}", time=NOW - int(began * S), run=f"s{place}"), NOW)
        if ended is not None:
            over = e.FlowRunFinished(id=f"over{place}", time=NOW - int(ended * S), run=f"s{place}", state="cancelled")
            facts.take(Spans, over, NOW)
    return facts


@pytest.mark.parametrize(
    ("ends", "consecutive", "reason"),
    [
        ("", 1, Failed.NO_RUN),
        ("x", 1, Failed.NO_RUN),
        ("c", 1, Failed.ENDED_WELL),
        ("h", 1, Failed.ENDED_WELL),
        ("f", 1, Failed.ENDED_BADLY),
        ("t", 1, Failed.ENDED_BADLY),
        ("k", 1, Failed.ENDED_BADLY),
        ("cf", 1, Failed.ENDED_BADLY),
        ("fc", 1, Failed.ENDED_WELL),
        ("fx", 1, Failed.ENDED_BADLY),
        ("f", 2, Failed.TOO_FEW),
        ("fcf", 2, Failed.TOO_FEW),
        ("fxf", 2, Failed.ENDED_BADLY),
        ("fkt", 3, Failed.ENDED_BADLY),
        ("ffcfx", 2, Failed.TOO_FEW),
        ("f" * 150, 100, Failed.ENDED_BADLY),
    ],
)
def test_failed(ends, consecutive, reason):
    """How the last runs ended decides, cancelled ones left out."""
    rule = rules.failed(consecutive=consecutive)
    verdict = judge(stated(rule), known(ends), NOW)
    assert verdict.reason is reason
    assert verdict.holds is (reason is not Failed.ENDED_BADLY)


@pytest.mark.parametrize(
    ("spans", "reason", "again"),
    [
        ([], TooLong.IN_TIME, None),
        ([(0, None)], TooLong.IN_TIME, 12),
        ([(10, None)], TooLong.IN_TIME, 2),
        ([(12, None)], TooLong.IN_TIME, 0),
        ([(12.1, None)], TooLong.PAST_BOUND, None),
        ([(500, None), (5, None)], TooLong.PAST_BOUND, 7),
        ([(500, 495)], TooLong.IN_TIME, None),
        ([(500, 1)], TooLong.IN_TIME, None),
        ([(-60, None)], TooLong.IN_TIME, 72),
    ],
    ids=str,
)
def test_too_long(spans, reason, again):
    """A bound of ten seconds, told at twelve; `again` says when to look next though nothing happens."""
    rule = rules.too_long(10)
    verdict = judge(stated(rule), known(spans=spans, rule=rule), NOW)
    assert verdict.reason is reason
    assert verdict.again == (None if again is None else NOW + again * S + 1)


@pytest.mark.parametrize(
    ("ends", "spells"),
    [
        ("f", [(("r0",), None)]),
        ("fc", [(("r0",), "r1")]),
        ("fcf", [(("r0",), "r1"), (("r2",), None)]),
        ("ffcc", [(("r0", "r1"), "r2")]),
        ("cc", []),
    ],
)
def test_each_spell_is_told(ends, spells):
    """What began and ended since the last verdict, in order."""
    facts = known(ends)
    verdict = judge(stated(rules.failed()), facts, NOW)
    by_event = {end.event: end.run for end in facts.facts(Ends).ends}
    assert [(spell.runs, by_event.get(spell.closed_by)) for spell in verdict.spells] == spells


def test_spells_of_more_than_an_hour_ago_are_not_told():
    """They are history."""
    facts = known("fc")
    assert judge(stated(rules.failed()), facts, NOW + HOUR).spells == ()
    rule = rules.too_long(10)
    facts = known(spans=[(500, 1)], rule=rule)
    assert len(judge(stated(rule), facts, NOW).spells) == 1
    assert judge(stated(rule), facts, NOW + HOUR).spells == ()


@pytest.mark.parametrize("kind", ["later", "", "x" * 5_000_000], ids=["unknown", "empty", "huge"])
def test_a_rule_that_is_not_understood_is_not_judged(kind):
    """It holds, as far as anybody can say, and its key stays short."""
    rule = stated(e.RuleData(kind=kind))
    assert judge(rule, known("fff"), NOW).reason is NOT_UNDERSTOOD
    assert len(rule.key) < 100
    assert len(rule.problem) < 200


def test_what_makes_a_rule_the_same():
    """Flow, environment, kind and arguments; not severity, labels or runbook."""
    key = stated(rules.failed()).key
    assert key == stated(rules.failed(severity="info", labels={"a": "b"}, runbook="x")).key
    others = [
        stated(rules.failed(), "weekly"),
        stated(rules.failed(), environment="live"),
        stated(rules.failed(consecutive=2)),
        stated(rules.too_long(1)),
    ]
    assert len({key, *(rule.key for rule in others)}) == 5
