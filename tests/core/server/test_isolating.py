"""The keys that give a plugin a process of its own."""

from __future__ import annotations

import pytest

from flowtell.config import load
from flowtell.errors import PluginRefused
from flowtell.server.discovery import discover, make_plugin, settings_of
from flowtell.server.isolating import isolation_of, runner_keys


def configured(tmp_path, text, name="lineage"):
    (tmp_path / "flowtell.toml").write_text(f"[plugin.{name}]\n{text}\n")
    return load(folder=str(tmp_path))


def test_nothing_is_isolated_unless_it_is_said(tmp_path):
    """A plugin runs in the server's own process."""
    assert isolation_of("lineage", "flowtell-lineage", configured(tmp_path, "keep_days = 3")) is None


def test_the_keys_are_the_runners(tmp_path):
    """The plugin's factory sees its own alone."""
    config = configured(
        tmp_path, 'isolate = "process"\nisolate_memory_mb = 300\nisolate_nice = 5\nvalues = true\nkeep_days = 3'
    )
    isolation = isolation_of("lineage", "flowtell-lineage", config)
    assert isolation.bounds == (300 << 20, 5)
    assert isolation.deadline == 30.0
    assert settings_of("lineage", config) == {"keep_days": 3}


def test_they_may_come_from_the_environment(tmp_path, monkeypatch):
    """As text."""
    monkeypatch.setenv("FLOWTELL_PLUGIN__LINEAGE__ISOLATE", "process")
    monkeypatch.setenv("FLOWTELL_PLUGIN__LINEAGE__ISOLATE_MEMORY_MB", "300")
    isolation = isolation_of("lineage", "flowtell-lineage", load(folder=str(tmp_path)))
    assert isolation.bounds.memory == 300 << 20


@pytest.mark.parametrize(("said", "seen"), [("false", False), ("0", False), ("true", True), ("1", True)])
def test_values_are_seen_only_where_that_is_said(tmp_path, monkeypatch, said, seen):
    """As text too: a plugin that is told "false" by the environment does not see them."""
    monkeypatch.setenv("FLOWTELL_PLUGIN__LINEAGE__VALUES", said)
    assert runner_keys("lineage", "flowtell-lineage", load(folder=str(tmp_path))).values is seen


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('isolate = "thread"', "Invalid enum value 'thread' - at `\\$.isolate`"),
        ("isolate = true", "Expected `str`"),
        ('isolate = "process"\nisolate_memory_mb = 10', "isolate_memory_mb is less than 64"),
        ('isolate = "process"\nisolate_nice = 40', "<= 19 - at `\\$.isolate_nice`"),
    ],
)
def test_a_wrong_value_refuses_the_plugin(tmp_path, text, problem):
    """With the table and the value named; nothing is run less isolated than was asked for."""
    config = configured(tmp_path, text)
    (spec,) = [spec for spec in discover(config) if spec.name == "lineage"]
    with pytest.raises(PluginRefused, match=problem):
        make_plugin(spec, config)


def test_a_wrong_setting_of_its_own_is_told_as_always(tmp_path):
    """Though its factory raised in another process."""
    config = configured(tmp_path, 'isolate = "process"\nkeep_dais = 3')
    (spec,) = [spec for spec in discover(config) if spec.name == "lineage"]
    with pytest.raises(PluginRefused, match=r"Unknown configuration key 'keep_dais'.*Did you mean 'keep_days'"):
        make_plugin(spec, config)


def test_what_is_not_configured_is_off(tmp_path):
    """A factory that gives none leaves no process behind."""
    config = configured(tmp_path, 'isolate = "process"', "jsonlines")
    (spec,) = [spec for spec in discover(config) if spec.name == "jsonlines"]
    assert make_plugin(spec, config) is None
