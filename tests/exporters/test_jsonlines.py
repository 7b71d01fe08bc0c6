"""Events as lines of a file."""

from __future__ import annotations

import json

import pytest

from flowtell.errors import UnknownKey
from flowtell.plugin import RetryLater
from flowtell.testing import PluginHarness, example_history
from flowtell_exporters.jsonlines import JsonLines, create


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_event_is_one_line_with_its_place_in_the_log(tmp_path):
    path = tmp_path / "events.jsonl"
    with PluginHarness(create, tmp_path, settings={"path": str(path)}) as harness:
        harness.feed(example_history(runs=2))
        assert [(line["id"], line["seq"]) for line in lines_of(path)] == [(e.id, e.seq) for e in harness.log()]


def test_values_that_users_passed_stay_at_home(tmp_path):
    """Unless the configuration asks for them: what leaves the store carries names and types only."""
    kept, shown = tmp_path / "kept.jsonl", tmp_path / "shown.jsonl"
    for path, extra in ((kept, {}), (shown, {"values": True})):
        folder = tmp_path / path.stem
        folder.mkdir()
        with PluginHarness(create, folder, settings={"path": str(path), **extra}) as harness:
            harness.feed(example_history(runs=2))
    assert not any("parameters" in line for line in lines_of(kept))
    assert any("parameters" in line for line in lines_of(shown))


def test_it_is_off_until_it_has_a_path():
    assert create({}) is None


def test_a_slip_in_the_configuration_is_named():
    with pytest.raises(UnknownKey, match="Did you mean 'path'"):
        create({"pat": "x"})


def test_a_line_that_a_crash_cut_does_not_swallow_the_next(tmp_path):
    """The rest of it stays a line of its own, and its event comes again whole."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"type":"flow_run.sta')
    JsonLines(str(path)).handle(example_history(runs=1))
    cut, *whole = path.read_text().splitlines()
    assert cut == '{"type":"flow_run.sta'
    assert [json.loads(line)["id"] for line in whole] == [event.id for event in example_history(runs=1)]


def test_a_file_that_cannot_be_written_is_tried_again_later(tmp_path):
    """No event is set aside as poison because a disk is full or a folder missing."""
    with pytest.raises(RetryLater, match="No such file"):
        JsonLines(str(tmp_path / "missing" / "events.jsonl")).handle(example_history(runs=1))


def test_a_file_that_was_moved_away_is_made_anew(tmp_path):
    """As log rotation does: no signal is needed."""
    path = tmp_path / "events.jsonl"
    plugin = JsonLines(str(path))
    first, second, *_ = example_history(runs=1)
    plugin.handle([first])
    path.rename(tmp_path / "events.jsonl.1")
    plugin.handle([second])
    assert [line["id"] for line in lines_of(path)] == [second.id]
