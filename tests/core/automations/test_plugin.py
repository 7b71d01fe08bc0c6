"""The plugin: one run for an event whatever is delivered again, none for old ones, bounded by hops, cooldown and waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from flowtell.automations import plugin, tables, when
from flowtell.events import ActionDone, ActionRequested, DeploymentDeclared, Event, FlowRunFinished, UserEvent
from flowtell.ids import new_id
from flowtell.plugin import without_values
from flowtell.testing import PluginContract, PluginHarness
from flowtell.wanted_runs import WantedRun, Wants, Word

HOUR = 3_600_000_000

FILE = """
[[automations]]
name = "load"
when = {{ event = "orders.uploaded" }}
run = "load/main"
parameters = {{ day = "{{{{ payload.day }}}}" }}
{more}
"""
ABSENT = """
[[automations]]
name = "miss"
when = { absent = "orders.uploaded", within = "2h" }
run = "remind/main"
parameters = { since = "{{ since }}" }
"""


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Callable[[str], PluginHarness]]:
    """The plugin over a file of this text."""
    made: list[PluginHarness] = []

    def make(text: str) -> PluginHarness:
        path = tmp_path / "flowtell.toml"
        path.write_text(text)
        made.append(PluginHarness(plugin.create, tmp_path, name="automations", settings={"path": str(path)}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def load(more: str = "") -> str:
    return FILE.format(more=more)


def uploaded(harness: PluginHarness, ago: float = 0.0, **more: Any) -> UserEvent:
    """An event that was written `ago` seconds before now."""
    now = harness.clock() - int(ago * 1e6)
    fields = {"payload": {"day": "2026-11-02"}, "environment": "test", **more}
    return UserEvent(type="orders.uploaded", id=new_id(now), time=now, **fields)


def wanted(harness: PluginHarness, target: str = "load/main") -> list[WantedRun]:
    return list(Wants(harness.folder, "test", target).asked())


def outcomes(harness: PluginHarness) -> list[tuple[str, str]]:
    done = [event for event in harness.log("action.done") if isinstance(event, ActionDone)]
    return [(event.outcome, "" if event.error is None else event.error.type) for event in done]


def test_an_event_becomes_a_want_and_what_is_said_of_it_an_event(harness) -> None:
    """The run derives from the event and is linked to what was asked for; after the word nothing is left on disk."""
    made = harness(load())
    event = uploaded(made)
    made.feed([event])
    made.tick()
    (want,) = wanted(made)
    (requested,) = [event for event in made.log("action.requested") if isinstance(event, ActionRequested)]
    assert want.parameters == {"day": "2026-11-02"}
    assert (want.caused_by, want.hops, want.cause) == (requested.id, 1, "automation")
    assert (requested.caused_by, requested.target, requested.run, requested.hops) == (event.id, want.run, want.run, 1)
    assert (requested.flow, requested.deployment, requested.actor) == ("load", "main", "automation:load")
    Wants(made.folder, "test", "load/main").say(want.run, Word())
    made.tick()
    made.tick()
    assert outcomes(made) == [("started", "")]
    assert not list((Path(made.folder) / "wanted").iterdir())


def test_delivered_again_restarted_or_torn_it_is_one_run(harness) -> None:
    """A call that was not committed comes again; a restart asks again under the same id."""
    made = harness(load())
    made.append([uploaded(made)])
    made.runner.lose_next_commit()
    made.restart()
    made.deliver()
    made.tick()
    (want,) = wanted(made)
    made.restart()
    made.tick()
    assert wanted(made) == [want]
    Wants(made.folder, "test", "load/main").say(want.run, Word())
    made.restart()  # before the word was heard
    made.tick()
    assert (wanted(made), outcomes(made)) == ([], [("started", "")])
    made.restart()
    made.tick()
    assert (wanted(made), outcomes(made)) == ([], [("started", "")])


def test_old_events_begin_nothing(harness) -> None:
    """Older than `max_age` when they are read: history that is caught up on, or imported."""
    made = harness(load('max_age = "30m"'))
    made.feed([uploaded(made, ago=1799), uploaded(made, ago=1801), uploaded(made, ago=86_400)])
    made.tick()
    assert len(wanted(made)) == 1
    assert [row.skipped for row in made.read(select(tables.states))] == [2]


def test_a_cooldown_is_counted_from_event_to_event(harness) -> None:
    """In whatever order they come."""
    made = harness(load('cooldown = "10m"'))
    made.feed([uploaded(made, ago=900), uploaded(made, ago=1200), uploaded(made, ago=400), uploaded(made, ago=290)])
    made.tick()
    assert len(wanted(made)) == 2


def test_the_bound_on_hops_is_told(harness) -> None:
    """An event says how many led to it; of a killed run, which others tell of, the firing knows it."""
    made = harness(load("max_hops = 2") + ABSENT.replace("absent =", "event =").replace(', within = "2h"', ""))
    made.feed([uploaded(made, hops=1), uploaded(made, hops=2)])
    made.tick()
    (want,) = wanted(made)
    assert want.hops == 2
    assert ("stopped", "TooManyHops") in outcomes(made)
    made.feed([uploaded(made, run=want.run)])
    made.tick()
    assert len(wanted(made)) == 1
    assert outcomes(made).count(("stopped", "TooManyHops")) == 2


def test_nobody_serves(harness, caplog) -> None:
    """It is told, waits for its time, and ends as an error; then nobody can begin it."""
    made = harness(load('wait = "1m"'))
    made.feed([uploaded(made)])
    made.tick()
    made.tick(10)
    assert "nobody serves load/main" in caplog.text
    assert outcomes(made) == []
    made.tick(60)
    made.tick()
    assert outcomes(made) == [("failed", "NotServed")]
    assert wanted(made) == []


def test_a_refusal_is_told_with_its_reason(harness) -> None:
    made = harness(load())
    made.feed([uploaded(made)])
    made.tick()
    Wants(made.folder, "test", "load/main").say(wanted(made)[0].run, Word(problem="load/main is paused."))
    made.tick()
    (done,) = [event for event in made.log("action.done") if isinstance(event, ActionDone)]
    assert (done.outcome, done.error.message) == ("failed", "load/main is paused.")


def test_a_field_that_is_missing_is_told(harness) -> None:
    made = harness(load())
    made.feed([uploaded(made, payload={})])
    assert outcomes(made) == [("failed", "NoSuchField")]
    made.tick()
    assert wanted(made) == []


# --- an absence ---------------------------------------------------------------------------------------------------


def test_an_absence_begins_one_run_for_each_silence(harness) -> None:
    """Counted from the latest event; not again until another has come; a restart neither forgets nor doubles."""
    made = harness(ABSENT)
    made.feed([uploaded(made)])
    made.tick(7100)
    assert wanted(made, "remind/main") == []
    made.restart()
    made.tick(101)
    made.tick()
    (first,) = wanted(made, "remind/main")
    assert first.parameters["since"].startswith("20")
    made.restart()
    made.tick(7300)
    assert [one.run for one in wanted(made, "remind/main")] in ([first.run], [])
    made.feed([uploaded(made)])
    made.tick(7201)
    made.tick()
    assert len(made.log("action.requested")) == 2


def test_an_absence_that_nobody_saw_in_time_is_passed_over(harness) -> None:
    """A server that was away for a day begins nothing for yesterday."""
    made = harness(ABSENT)
    made.feed([uploaded(made)])
    made.clock.advance(86_400)
    made.tick()
    made.tick()
    assert wanted(made, "remind/main") == []


# --- which hold ---------------------------------------------------------------------------------------------------


def test_paused_it_begins_nothing_until_it_is_resumed(harness) -> None:
    """Over a restart, too; a name that there is not is an error."""
    made = harness(load())

    def ask(action: str, name: str) -> Event:
        return ActionRequested(id=new_id(made.clock()), time=made.clock(), action=f"automations.{action}", target=name)

    made.feed([ask("pause", "load"), uploaded(made)])
    made.restart()
    made.feed([uploaded(made)])
    made.tick()
    assert wanted(made) == []
    made.feed([ask("resume", "load"), uploaded(made), ask("pause", "laod")])
    made.tick()
    assert len(wanted(made)) == 1
    assert outcomes(made) == [("paused", ""), ("resumed", ""), ("failed", "NoSuchAutomation")]


def test_what_is_off_begins_nothing(harness) -> None:
    made = harness(load("active = false"))
    made.feed([uploaded(made)])
    made.tick()
    assert wanted(made) == []


def test_a_deployment_states_its_own(harness) -> None:
    """From its declaration on, over restarts, until it is declared without; what cannot be used is left out."""
    made = harness("")
    table = when("orders.uploaded", parameters={"day": "{{ payload.day }}"})

    def declared(*automations: dict[str, Any]) -> Event:
        now = made.clock()
        return DeploymentDeclared(
            id=new_id(now), time=now, flow="load", deployment="main", environment="test", automations=automations
        )

    made.feed([declared(table, {"when": {"event": "x.y"}, "of tomorrow": 1})])
    made.restart()
    made.feed([uploaded(made)])
    made.tick()
    assert [one.parameters for one in wanted(made)] == [{"day": "2026-11-02"}]
    made.feed([declared(), uploaded(made)])
    made.tick()
    assert len(wanted(made)) == 1


def test_a_changed_file_holds_and_a_slip_in_it_does_not(harness, caplog) -> None:
    made = harness(load())
    path = Path(made.folder) / "flowtell.toml"
    path.write_text(load("cooldwn = 1"))
    made.tick()
    assert "automations stay as they were" in caplog.text
    path.write_text(load().replace("orders.uploaded", "orders.lost"))
    made.tick()
    made.feed([uploaded(made)])
    made.tick()
    assert wanted(made) == []


def test_a_state_of_a_run_is_an_event_like_others(harness) -> None:
    """What the plugin itself emits may match, too, and is bounded as everything is."""
    made = harness('[[automations]]\nname = "all"\nwhen = "*"\nrun = "load/main"\nmax_hops = 2\n')
    now = made.clock()
    made.feed([FlowRunFinished(id=new_id(now), time=now, flow="x", run=new_id(now), environment="test")])
    for _ in range(5):
        made.tick()
    assert 1 <= len(wanted(made)) <= 10


def test_an_effect_does_not_see_what_automations_pass_on() -> None:
    """As it sees no parameters of a deployment, unless it may."""
    event = DeploymentDeclared(flow="load", deployment="main", automations=({"parameters": {"day": "2026-11-02"}},))
    assert [one.automations for one in without_values([event]) if isinstance(one, DeploymentDeclared)] == [()]


class TestContract(PluginContract):
    name = "automations"

    def factory(self):
        return plugin.create


@pytest.mark.slow
class TestOnPostgres(TestContract):
    """The same on the other store."""

    @pytest.fixture(autouse=True)
    def databases(self, new_database):
        self._new_database = new_database

    def store_url(self, folder: Path) -> str:
        return self._new_database()

    def test_an_event_is_one_run_there_too(self, tmp_path: Path) -> None:
        """Wanted, torn, restarted, paused; its rows are those tables'."""
        path = tmp_path / "flowtell.toml"
        path.write_text(load() + ABSENT)
        url = self.store_url(tmp_path)
        with PluginHarness(plugin.create, tmp_path, name="automations", settings={"path": str(path)}, store_url=url) as made:
            made.append([uploaded(made)])
            made.runner.lose_next_commit()
            made.restart()
            made.deliver()
            made.tick()
            (want,) = wanted(made)
            Wants(made.folder, "test", "load/main").say(want.run, Word())
            made.tick()
            made.restart()
            made.tick()
            assert (wanted(made), outcomes(made)) == ([], [("started", "")])
            made.tick(7201)
            made.tick()
            assert len(wanted(made, "remind/main")) == 1
