"""The conformance kit for sources: inherit, say how yours is made and when it has read all, and pytest runs the tests.

    class TestMine(SourceContract):
        def factory(self):
            return create

        def has_all(self, harness):
            return len(harness.events()) >= 3

The kit restarts, kills and cuts writes off on purpose, over a real journal and a real log. What is read is yours to set up,
in a fixture of your class; it must be the same at each reading.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowtell.events import encode
from flowtell.ids import is_id
from flowtell.source import API_VERSION, Factory, Source
from flowtell.testing.source_harness import SourceHarness


class SourceContract:
    """What every source must keep. Override `factory` and `has_all`; the rest where yours needs it."""

    name: str = "source"
    settings: Mapping[str, Any] = {}
    timeout: float = 30.0
    """Seconds in which the source reads all there is."""
    most_cuts: int = 25
    """Writes, spread over all there are, after which it is killed."""

    def factory(self) -> Factory:
        raise NotImplementedError("return the source's factory")

    def has_all(self, harness: SourceHarness) -> bool:
        """Whether the log has what there is to read."""
        raise NotImplementedError("say when the source has read all")

    def observe(self, harness: SourceHarness) -> Any:
        """What was told, to be compared: by default the ids and types of all events."""
        return sorted((event.type, event.id) for event in harness.events())

    # --- the tests ------------------------------------------------------------------------------------------------

    def harness(self, folder: Path) -> SourceHarness:
        folder.mkdir(parents=True, exist_ok=True)
        return SourceHarness(self.factory(), folder, name=self.name, settings=self.settings)

    def read_all(self, harness: SourceHarness) -> None:
        harness.run_until(lambda: self.has_all(harness), self.timeout)

    def test_its_shape_fits(self) -> None:
        """The factory gives a source with every member, for this version of the contract, and connects to nothing."""
        source = self.factory()(dict(self.settings))
        assert isinstance(source, Source)
        assert source.api == API_VERSION

    def test_what_it_tells_can_be_told_again(self, tmp_path: Path) -> None:
        """Each event has an id that is none of this moment's making: two readings give the same ones."""
        with self.harness(tmp_path / "one") as one, self.harness(tmp_path / "two") as two:
            self.read_all(one)
            self.read_all(two)
            assert all(is_id(event.id) for event in one.events())
            assert all(encode(event) for event in one.events())
            assert self.observe(one) == self.observe(two), _apart(self.observe(one), self.observe(two))

    def test_it_says_that_it_is_up_and_how_far_it_is(self, tmp_path: Path) -> None:
        """By the first events at the latest, as a metric and a restart depend on it."""
        with self.harness(tmp_path) as harness:
            self.read_all(harness)
            said = {event.type for event in harness.said()}
            assert said >= {"source.up", "source.progress"}, said
            assert harness.runner.status().state == "up"

    def test_a_restart_adds_nothing(self, tmp_path: Path) -> None:
        """A new one goes on from the cursor of the last, stopped or killed."""
        with self.harness(tmp_path) as harness:
            self.read_all(harness)
            before = self.observe(harness)
            for kill in (False, True):
                harness.restart(kill=kill)
                harness.turn()
                self.read_all(harness)
                assert self.observe(harness) == before

    def test_cut_off_at_any_write_it_comes_to_the_same(self, tmp_path: Path) -> None:
        """Whichever write is the last before a death, all comes in, and once."""
        with self.harness(tmp_path / "calm") as calm:
            self.read_all(calm)
            writes, expected = calm.writes, self.observe(calm)
        for cut in range(0, writes, max(writes // self.most_cuts, 1)):
            with self.harness(tmp_path / str(cut)) as torn:
                torn.fail_at = cut
                torn.run_until(lambda torn=torn: torn.fail_at is None or self.has_all(torn), self.timeout)  # type: ignore[misc]
                torn.restart(kill=True)
                self.read_all(torn)
                assert self.observe(torn) == expected, f"after write {cut}: {_apart(self.observe(torn), expected)}"

    def test_a_step_and_a_close_keep_to_their_time(self, tmp_path: Path) -> None:
        """A step hands back control within ten seconds, `close(timeout)` within its time-out and a second."""
        harness = self.harness(tmp_path)
        began = time.monotonic()
        harness.turn()
        assert time.monotonic() - began < 10.0
        began = time.monotonic()
        harness.runner.close(1.0)
        assert time.monotonic() - began < 2.0
        harness.store.close()


def _apart(one: Any, other: Any) -> str:
    """The first things that only one of two observations has."""
    try:
        only_one, only_other = ([each for each in one if each not in other], [each for each in other if each not in one])
    except TypeError:
        return f"{one!r} and {other!r}"
    return f"{only_one[:5]} and {only_other[:5]}"


__all__ = ["SourceContract"]
