"""A month of a company with one failure upstream a day: one page each, and no other. On a clock that is moved by minutes."""

from __future__ import annotations

from collections import Counter

import pytest

from flowtell import events as e
from flowtell.rules import failed, late, stale, too_long
from flowtell.testing import FakeClock, PluginHarness
from flowtell_alerts.evaluator import create
from flowtell_alerts.rehearsal import Told, rehearse

from .company import DAY, HOUR, MINUTE, Company

RULES = (failed(), stale(within="26h", severity="error"), too_long("3h"), late("30m"))


def plays(harness: PluginHarness, told: Told, happened: list[tuple[int, e.Event]]) -> None:
    """One day. Every minute the log gets what has happened, and the evaluator looks."""
    place, end = 0, harness.clock() + DAY
    while harness.clock() < end:
        harness.clock.advance(MINUTE / 1e6)
        until = place
        while until < len(happened) and happened[until][0] <= harness.clock():
            until += 1
        if until > place:
            harness.append([event for _, event in happened[place:until]])
            place = until
        harness.tick()
        if harness.clock() % HOUR == 0:
            told.read(harness.store.log, harness.clock())


def pages(told: Told) -> list[tuple[str, str]]:
    """In the order in which people were told."""
    return [(page.rule.kind, page.flow) for page in told.first.values()]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_one_page_for_each_failure_upstream_and_no_other(tmp_path, rounds):
    """What waits for the failed flow is late and stale; it is muted, names its cause, and is well before anybody is told."""
    days, flows = rounds(full=30, ci=3), rounds(full=350, ci=80)
    clock, told = FakeClock(), Told()
    company = Company(flows, clock(), RULES, tasks=rounds(full=12, ci=2))
    with PluginHarness(create, tmp_path, name="alerts", clock=clock) as harness:
        failures = []
        for failing, happened in company.days(days):
            failures.append(failing)
            plays(harness, told, happened)
        opened = harness.log("incident.opened")
        resolved = {event.incident for event in harness.log("incident.resolved")}
    assert pages(told) == [("failed", failing) for failing in failures if failing]
    assert set(told.muted.values()) == {"inhibited"}
    causes = set(told.first)
    assert {event.inhibited_by for event in opened if event.rule.kind != "failed"} <= causes
    assert {event.incident for event in opened} == resolved
    kinds = Counter(event.rule.kind for event in opened)
    print(f"{flows} flows, {days} days: {len(causes)} pages, {len(told.muted)} muted of {dict(kinds)}")


@pytest.mark.slow
def test_what_does_not_follow_is_told(tmp_path):
    """A flow that stays away after its ancestor is well again is told of: muting misses nothing. So says the rehearsal."""
    clock, told = FakeClock(), Told()
    start = clock()
    company = Company(40, start, RULES, tasks=1, seed=5)
    with PluginHarness(create, tmp_path, name="alerts", clock=clock) as harness:
        away, failures = "", []
        for failing, happened in company.days(3):
            failures.append(failing)
            if len(failures) == 3:  # from the third day on the machine of one that reads it is switched off
                away = company.readers[failing][0].name
            plays(harness, told, [(at, event) for at, event in happened if event.flow != away])
        before = len(harness.log())
        rehearsed = rehearse(harness.store.log, harness.read, since=start, until=clock())
        assert len(harness.log()) == before
    assert {flow for kind, flow in pages(told) if kind != "failed"} == {away}
    assert [flow for kind, flow in pages(told) if kind == "failed"] == failures[1:]
    named = {incident.incident: incident for incident in rehearsed.incidents}
    assert sorted((named[key].rule.kind, named[key].flow) for key in rehearsed.told) == sorted(pages(told))
    assert len(rehearsed.muted) == len(told.muted)
