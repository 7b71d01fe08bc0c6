"""`failed` by error type, for every run, and with a recovery that takes several runs."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import failed


@pytest.fixture
def ends(world):
    """Let runs end one after the other: `c` well, `x` cancelled, another letter badly by an error of that name."""
    made = iter(range(1_000_000))

    def end(letters, cause=""):
        for letter in letters:
            world.clock.advance(1)
            run = f"{letter}{next(made)}"
            world.appends(e.FlowRunStarted, run=run, flow="nightly", cause=cause)
            state = {"c": "completed", "x": "cancelled", "k": "crashed", "t": "timed_out"}.get(letter, "failed")
            world.ends(run, state, error=e.Failure(type=f"{letter}Error") if state == "failed" else None)
            world.passes()

    return end


@pytest.mark.parametrize(
    ("rule", "story", "told"),
    [
        (failed(only="AError"), "ba", ["opened"]),
        (failed(only=["A*", "crashed"]), "bk", ["opened"]),
        (failed(only="timed_out"), "akt", ["opened"]),
        (failed(only="failed"), "kta", ["opened"]),
        (failed(ignore="B*"), "b", []),
        (failed(ignore="B*"), "bab", ["opened"]),
        (failed(only="A*", ignore="ABError"), "a", ["opened"]),
        (failed(consecutive=2, only="AError"), "aba", ["opened"]),
        (failed(consecutive=2, only="AError"), "aca", []),
        (failed(only="AError"), "ab", ["opened"]),
        (failed(only="AError"), "abc", ["opened", "resolved"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_which_bad_ends_count(world, ends, rule, story, told):
    """By the error's type or the state. Others say nothing: they open nothing, resolve nothing, break no row."""
    world.declares(rule)
    ends(story.replace("a", "A").replace("b", "B"))
    assert world.told() == told


def test_every_bad_end_is_an_incident_of_its_own(world, ends):
    """A good end resolves them all."""
    world.declares(failed(every=True))
    ends("AB")
    assert [len(incident.runs) for incident in world.open] == [1, 1]
    assert len({incident.key for incident in world.open}) == 2
    world.restarts()
    world.passes()
    assert world.told() == ["opened", "opened"]
    ends("c")
    assert world.open == []
    ends("A")
    assert world.told().count("opened") == 3
    assert world.told().count("resolved") == 2


def test_a_recovery_that_takes_several_runs(world, ends):
    """One good end is not enough, and a bad one begins the count anew; that is one incident still."""
    world.declares(failed(consecutive=2, recovery=3))
    ends("AAcc")
    assert len(world.open) == 1
    assert world.rules[0].verdict == "runs end well again, fewer in a row than it takes"
    ends("Acc")
    assert len(world.open) == 1
    ends("c")
    assert world.open == []
    assert world.told() == ["opened", "updated", "resolved"]
    ends("A")
    assert world.told() == ["opened", "updated", "resolved"]
    ends("A")
    assert len(world.open) == 1


def test_a_recovery_at_any_restart(make_world, tmp_path):
    """Restarted after every run, or never: the same incidents."""
    told = []
    for restarts in (False, True):
        world = make_world(tmp_path / str(restarts))
        world.declares(failed(recovery=2), failed(every=True), failed(consecutive=3, ignore="B*"))
        for number, letter in enumerate("AcAccBAcABAAccAcc"):
            world.clock.advance(5)
            state = "completed" if letter == "c" else "failed"
            world.ends(f"r{number}", state, error=e.Failure(type=f"{letter}Error"))
            world.passes()
            if restarts:
                world.restarts()
            else:
                world.clock.advance(2)
            world.passes()
        told.append(sorted((one.key, one.since, one.resolved, one.runs) for one in world.incidents))
    assert told[0] == told[1]
    assert len(told[0]) > 8


def test_a_good_back_fill_does_not_mend_and_a_bad_one_does_not_page(world, ends):
    """It says nothing of tonight."""
    world.declares(failed())
    ends("AB", cause="backfill")
    assert world.told() == []
    ends("A")
    ends("ccc", cause="backfill")
    assert len(world.open) == 1


def test_a_restart_does_not_forget_that_a_run_is_a_back_fill(world):
    """Its end does not say so."""
    world.declares(failed())
    world.appends(e.FlowRunStarted, run="b", flow="nightly", cause="backfill")
    world.passes()
    world.restarts()
    world.ends("b", "failed")
    world.passes(3)
    assert world.told() == []
