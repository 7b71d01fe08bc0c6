"""The verdict as a table: what is known, the rule, the moment, and the named reason that follows."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell import rules
from flowtell_alerts._facts import HOUR, FlowFacts
from flowtell_alerts._rules import understand
from flowtell_alerts._verdict import BROKEN, Reason, judge

S = 1_000_000
NOW = 100 * HOUR


def known(ends: str = "", spans: list[tuple[float, float | None]] = (), rule: e.RuleData | None = None) -> FlowFacts:
    """Facts of a flow whose runs ended a second apart until now: `f` failed, `c` completed, `x` cancelled.

    `spans` are runs by their start and end in seconds before now.
    """
    facts = FlowFacts("nightly", "test")
    facts.take_rules((rule,) if rule else ())
    states = {"f": "failed", "t": "timed_out", "k": "crashed", "c": "completed", "h": "cached", "x": "cancelled"}
    for place, letter in enumerate(ends):
        at = NOW - (len(ends) - place) * S
        facts.finish(e.FlowRunFinished(id=f"end{place}", time=at, run=f"r{place}", state=states[letter]), NOW)
    for place, (began, ended) in enumerate(spans):
        facts.start(e.FlowRunStarted(id=f"start{place}", time=NOW - int(began * S), run=f"s{place}"))
        if ended is not None:
            facts.finish(
                e.FlowRunFinished(id=f"over{place}", time=NOW - int(ended * S), run=f"s{place}", state="cancelled"), NOW
            )
    return facts


@pytest.mark.parametrize(
    ("ends", "consecutive", "reason"),
    [
        ("", 1, Reason.NO_RUN),
        ("x", 1, Reason.NO_RUN),
        ("c", 1, Reason.ENDED_WELL),
        ("h", 1, Reason.ENDED_WELL),
        ("f", 1, Reason.ENDED_BADLY),
        ("t", 1, Reason.ENDED_BADLY),
        ("k", 1, Reason.ENDED_BADLY),
        ("cf", 1, Reason.ENDED_BADLY),
        ("fc", 1, Reason.ENDED_WELL),
        ("fx", 1, Reason.ENDED_BADLY),
        ("f", 2, Reason.TOO_FEW),
        ("fcf", 2, Reason.TOO_FEW),
        ("fxf", 2, Reason.ENDED_BADLY),
        ("fkt", 3, Reason.ENDED_BADLY),
        ("ffcfx", 2, Reason.TOO_FEW),
        ("f" * 150, 100, Reason.ENDED_BADLY),
    ],
)
def test_failed(ends, consecutive, reason):
    """How the last runs ended decides, cancelled ones left out."""
    rule = rules.failed(consecutive=consecutive)
    verdict = judge(understand("nightly", "test", rule), known(ends), NOW)
    assert verdict.reason is reason
    assert verdict.holds is (reason not in BROKEN)


@pytest.mark.parametrize(
    ("spans", "reason", "again"),
    [
        ([], Reason.IN_TIME, None),
        ([(0, None)], Reason.IN_TIME, 12),
        ([(10, None)], Reason.IN_TIME, 2),
        ([(12, None)], Reason.IN_TIME, 0),
        ([(12.1, None)], Reason.PAST_BOUND, None),
        ([(500, None), (5, None)], Reason.PAST_BOUND, 7),
        ([(500, 495)], Reason.IN_TIME, None),
        ([(500, 1)], Reason.IN_TIME, None),
        ([(-60, None)], Reason.IN_TIME, 72),
    ],
    ids=str,
)
def test_too_long(spans, reason, again):
    """A bound of ten seconds, told at twelve; `again` says when to look next though nothing happens."""
    rule = rules.too_long(10)
    verdict = judge(understand("nightly", "test", rule), known(spans=spans, rule=rule), NOW)
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
    verdict = judge(understand("nightly", "test", rules.failed()), facts, NOW)
    by_event = {end.event: end.run for end in facts.ends}
    assert [(spell.runs, by_event.get(spell.closed_by)) for spell in verdict.spells] == spells


def test_spells_of_more_than_an_hour_ago_are_not_told():
    """They are history."""
    facts = known("fc")
    assert judge(understand("nightly", "test", rules.failed()), facts, NOW + HOUR).spells == ()
    rule = rules.too_long(10)
    facts = known(spans=[(500, 1)], rule=rule)
    assert len(judge(understand("nightly", "test", rule), facts, NOW).spells) == 1
    assert judge(understand("nightly", "test", rule), facts, NOW + HOUR).spells == ()


@pytest.mark.parametrize("kind", ["late", "", "x" * 5_000_000], ids=["late", "empty", "huge"])
def test_a_rule_that_is_not_understood_is_not_judged(kind):
    """It holds, as far as anybody can say, and its key stays short."""
    rule = understand("nightly", "test", e.RuleData(kind=kind))
    assert judge(rule, known("fff"), NOW).reason is Reason.NOT_UNDERSTOOD
    assert len(rule.key) < 100
    assert len(rule.problem) < 200


def test_what_makes_a_rule_the_same():
    """Flow, environment, kind and arguments; not severity, labels or runbook."""
    key = understand("nightly", "test", rules.failed()).key
    assert key == understand("nightly", "test", rules.failed(severity="info", labels={"a": "b"}, runbook="x")).key
    others = [
        understand("weekly", "test", rules.failed()),
        understand("nightly", "live", rules.failed()),
        understand("nightly", "test", rules.failed(consecutive=2)),
        understand("nightly", "test", rules.too_long(1)),
    ]
    assert len({key, *(rule.key for rule in others)}) == 5
