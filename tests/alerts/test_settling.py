"""Judged after each end, or once at last, with facts that were stored and read back: the same is told."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtell import events as e
from flowtell import rules
from flowtell_alerts.kinds import kind_of

S = 1_000_000
START = 1_000 * 3_600 * S
STATES = {"c": "completed", "f": "failed", "k": "crashed", "x": "cancelled", "h": "cached"}

FAILED = st.builds(
    rules.failed,
    consecutive=st.integers(1, 3),
    recovery=st.integers(1, 3),
    only=st.sampled_from([(), ("crashed",)]),
    ignore=st.sampled_from([(), ("crashed",)]),
)
EVERY = st.builds(rules.failed, every=st.just(True), recovery=st.integers(1, 2))
MEASURED = st.builds(rules.measured, st.just("rows"), below=st.just(5), missing=st.booleans())
ENDS = st.lists(st.tuples(st.sampled_from("cccffkxh"), st.sampled_from([None, 1.0, 9.0])), max_size=30)


class Teller:
    """Follows verdicts as incidents do: what opened, by which run, and what closed it."""

    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.told: list[tuple[str, int, int | None]] = []

    def takes(self, verdict) -> None:
        for identity, own in verdict.apart(list(self.open)):
            for spell in own.spells:
                self.open.setdefault(identity, spell.since)
                if spell.until is not None:
                    self.told.append((identity, self.open.pop(identity), spell.until))
            if identity in self.open and own.holds:
                self.told.append((identity, self.open.pop(identity), own.until))

    def all(self) -> list[tuple[str, int, int | None]]:
        return sorted([*self.told, *((identity, since, None) for identity, since in self.open.items())], key=str)


def told(rule, ends, looks: set[int]):
    """What is told of these ends, a second apart, if somebody looks after those at the places `looks`, and at the end."""
    kind = kind_of(rule)
    demand = msgspec.convert(rule.arguments, kind.demand)
    facts, stored, teller = kind.facts(), {}, Teller()
    for place, (letter, rows) in enumerate(ends):
        now = START + place * S
        if rows is not None and "measure.recorded" in kind.facts.wants:
            facts.take(e.MeasureRecorded(id=f"m{place}", time=now, run=f"r{place}", name="rows", value=rows), now, [demand])
        finished = e.FlowRunFinished(id=f"e{place}", time=now, run=f"r{place}", state=STATES[letter])
        facts.take(finished, now, [demand])
        if place in looks:
            teller.takes(kind.judge(demand, facts, now, now))
            facts.settle(now)
            stored.update(facts.items())
            facts = kind.facts()
            for item, data in stored.items():
                if data is not None:
                    facts.load(item, data)
    now = START + len(ends) * S
    teller.takes(kind.judge(demand, facts, now, now))
    return teller.all()


@settings(max_examples=300, deadline=None)
@given(st.one_of(FAILED, EVERY, MEASURED), ENDS, st.integers())
def test_looking_more_often_tells_the_same(rule, ends, seed):
    """At some of the ends, at all, or at none before the last."""
    made = random.Random(seed)
    some = {place for place in range(len(ends)) if made.random() < 0.5}
    once = told(rule, ends, set())
    assert told(rule, ends, some) == once
    assert told(rule, ends, set(range(len(ends)))) == once


@settings(max_examples=200, deadline=None)
@given(FAILED, ENDS)
def test_failed_against_an_oracle(rule, ends):
    """Walked through by hand: a row that is long enough opens, so many good ends in a row close."""
    wanted, row, good, since, expected = rule.arguments, 0, 0, None, []
    for place, (letter, _) in enumerate(ends):
        state, now = STATES[letter], START + place * S
        if state in ("completed", "cached"):
            good, row = good + 1, row if since is not None else 0
            if since is not None and good >= wanted.get("recovery", 1):
                expected.append(("", since, now))
                since, row = None, 0
            continue
        is_bad = state in ("failed", "crashed")
        counts = "only" not in wanted or state in wanted["only"]
        if is_bad and counts and state not in wanted.get("ignore", ()):
            good, row = 0, row + 1
            if since is None and row >= wanted["consecutive"]:
                since = now
    expected += [("", since, None)] if since is not None else []
    assert told(rule, ends, set(range(len(ends)))) == sorted(expected, key=str)
