"""The kit for sources, kept by a small source; and that it sees what it is there to see."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path

import pytest

from flowtell.events import FlowRunStarted
from flowtell.ids import new_id
from flowtell.testing import SourceContract

SPEC = importlib.util.spec_from_file_location("lines_source", Path(__file__).with_name("lines_source.py"))
lines_source = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lines_source)

NOON = 1_795_500_000_000_000


def write_lines(path, runs=4):
    lines = [
        {"run": f"{number:032x}", "time": NOON + number * 1_000_000 + after, "state": state}
        for number in range(runs)
        for after, state in ((0, "running"), (500_000, "completed"))
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


class TestLines(SourceContract):
    name = "lines"

    @pytest.fixture(autouse=True)
    def file(self, tmp_path_factory):
        path = tmp_path_factory.mktemp("feed") / "runs.jsonl"
        write_lines(path)
        self.settings = {"path": str(path)}

    def factory(self):
        return lines_source.create

    def has_all(self, harness):
        return len(harness.events()) >= 8


class ForgetfulSource(lines_source.LinesSource):
    """Makes up an id at each reading."""

    counter = itertools.count()

    def step(self):
        self.context.up()
        now = NOON + next(self.counter)
        self.context.emit([FlowRunStarted(id=new_id(now), time=now, run="0" * 32)], cursor="1")
        return 1.0


def test_the_kit_sees_a_source_that_tells_twice(tmp_path):
    """An id of the moment of reading makes two facts of one, and the kit says so."""

    class Kit(SourceContract):
        def factory(self):
            return lambda settings: ForgetfulSource("")

        def has_all(self, harness):
            return bool(harness.events())

    with pytest.raises(AssertionError):
        Kit().test_what_it_tells_can_be_told_again(tmp_path / "again")
    with pytest.raises(AssertionError):
        Kit().test_a_restart_adds_nothing(tmp_path / "restart")
