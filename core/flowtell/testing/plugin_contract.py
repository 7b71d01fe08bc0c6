"""The conformance kit for plugins: inherit, say how yours is made, and pytest runs the tests.

    class TestMine(PluginContract):
        def factory(self):
            return create

The kit redelivers, restarts, cuts batches differently and mixes writers on purpose, over a real log.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from flowtell.events import TYPES, Event, UserEvent
from flowtell.ids import derived_id
from flowtell.plugin import API_VERSION, Factory, Plugin
from flowtell.testing.histories import START, example_history
from flowtell.testing.plugin_harness import PluginHarness


class PluginContract:
    """What every plugin must keep. Override `factory`; the rest where yours needs it."""

    name: str = "plugin"
    """The name of its entry point, which its tables begin with."""
    settings: Mapping[str, Any] = {}
    isolated: bool = False
    """Whether the plugin runs in a process of its own, as with `isolate = "process"`. Its factory is then a function of a
    module, which that process imports by name."""

    def factory(self) -> Factory:
        raise NotImplementedError("return the plugin's factory")

    def history(self) -> list[Event]:
        """Events to feed; add those that your plugin exists for."""
        return example_history()

    def observe(self, harness: PluginHarness) -> Any:
        """What the plugin has come to, to be compared: its own tables. An effect returns what the world saw."""
        return harness.rows()

    # --- the tests ------------------------------------------------------------------------------------------------

    def store_url(self, folder: Path) -> str:
        """An empty store for a test, other than the SQLite file in `folder`; asked once for each folder."""
        return ""

    def harness(self, folder: Path) -> PluginHarness:
        folder.mkdir(parents=True, exist_ok=True)
        return PluginHarness(
            self.factory(),
            folder,
            name=self.name,
            settings=self.settings,
            store_url=self.store_url(folder),
            isolated=self.isolated,
        )

    def test_its_shape_fits(self, tmp_path: Path) -> None:
        """The factory gives a plugin with every member, for this version of the contract."""
        plugin = self.factory()(dict(self.settings))
        assert isinstance(plugin, Plugin)
        assert plugin.api == API_VERSION
        assert not isinstance(plugin.wants, str)

    def test_every_event_type_is_taken(self, tmp_path: Path) -> None:
        """An event with nothing but its id raises nothing, of whatever type, known to this version or not."""
        with self.harness(tmp_path) as harness:
            bare = [kind(id=derived_id(START, name), time=START) for name, kind in TYPES.items()]
            harness.feed(
                [*bare, UserEvent(type="acme.scored", id=derived_id(START, "acme"), time=START, payload={"score": 1})]
            )

    def test_a_restart_anywhere_changes_nothing(self, tmp_path: Path) -> None:
        """A new plugin after every few events comes to the same as one that lived on."""
        events = self.history()
        with self.harness(tmp_path / "once") as once, self.harness(tmp_path / "often") as often:
            once.feed(events)
            few = 15 if self.isolated else 3  # a process takes a third of a second to start
            for start in range(0, len(events), few):
                often.feed(events[start : start + few])
                often.restart()
            assert self.observe(often) == self.observe(once)

    def test_the_size_of_batches_changes_nothing(self, tmp_path: Path) -> None:
        """One by one or all at once."""
        events = self.history()
        with self.harness(tmp_path / "all") as all_at_once, self.harness(tmp_path / "single") as one_by_one:
            all_at_once.feed(events)
            one_by_one.feed(events, batch=1)
            assert self.observe(one_by_one) == self.observe(all_at_once)

    def test_what_was_not_committed_comes_again(self, tmp_path: Path) -> None:
        """A call whose transaction never happened is repeated with a new plugin, and counts once."""
        events = self.history()
        with self.harness(tmp_path / "calm") as calm, self.harness(tmp_path / "torn") as torn:
            calm.feed(events)
            torn.append(events)
            torn.runner.lose_next_commit()
            torn.restart()
            torn.deliver()
            assert self.observe(torn) == self.observe(calm)

    def test_the_same_events_again_add_nothing(self, tmp_path: Path) -> None:
        """Events that a writer sends twice are in the log once."""
        events = self.history()
        with self.harness(tmp_path / "once") as once, self.harness(tmp_path / "twice") as twice:
            once.feed(events)
            twice.feed(events)
            twice.feed(events, writer="w2")
            assert self.observe(twice) == self.observe(once)

    def test_events_are_left_as_they_are(self, tmp_path: Path) -> None:
        """Events are shared by all plugins: nobody writes into the values inside them."""
        events = self.history()
        with self.harness(tmp_path) as harness:
            shared = harness.append(events)
            before = copy.deepcopy([msgspec.to_builtins(event) for event in shared])
            harness.deliver()
            assert [msgspec.to_builtins(event) for event in shared] == before

    def test_tick_may_come_at_any_time(self, tmp_path: Path) -> None:
        """Before the first event, after the last, and long after."""
        with self.harness(tmp_path) as harness:
            harness.tick()
            harness.feed(self.history())
            for seconds in (0.0, 60.0, 86_400.0 * 400):
                harness.tick(seconds)

    def test_close_keeps_to_its_time(self, tmp_path: Path) -> None:
        """`close(timeout)` returns within its time-out, and a second later at the most."""
        harness = self.harness(tmp_path)
        harness.feed(self.history())
        began = time.monotonic()
        harness.runner.plugin.close(1.0)
        assert time.monotonic() - began < 2.0
        harness.store.close()


def interleaved(first: Sequence[Event], second: Sequence[Event], pattern: Sequence[bool]) -> list[Event]:
    """Two writers' events mixed, each in its own order: True takes from the first."""
    left, right = list(first), list(second)
    mixed = [(left if (take_left and left) or not right else right).pop(0) for take_left in pattern if left or right]
    return [*mixed, *left, *right]


__all__ = ["PluginContract", "interleaved"]
