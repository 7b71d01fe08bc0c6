"""The six distributions are what their pyproject files say, and everything that they announce loads."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint, distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("core", "exporters", "lineage", "alerts", "dashboard", "sources")


def project(folder: str) -> dict:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]


def declared_entry_points() -> list[EntryPoint]:
    groups = {"console_scripts": "scripts"}
    return [
        EntryPoint(name, value, group)
        for folder in FOLDERS
        for group, entries in (
            *project(folder).get("entry-points", {}).items(),
            *((group, project(folder).get(key, {})) for group, key in groups.items()),
        )
        for name, value in entries.items()
    ]


@pytest.mark.parametrize("entry", declared_entry_points(), ids=lambda entry: f"{entry.group}:{entry.name}")
def test_an_entry_point_loads(entry):
    """Its module imports without a warning and has the factory, command or function it names."""
    assert callable(entry.load())


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_installed_is_what_is_here(folder):
    """A checkout that was installed before its entry points changed is told so, instead of missing a plugin."""
    here = project(folder)
    installed = distribution(here["name"])
    assert installed.version == here["version"]
    announced = {(entry.group, entry.name, entry.value) for entry in installed.entry_points}
    declared = {
        (group, name, value)
        for group, entries in [*here.get("entry-points", {}).items(), ("console_scripts", here.get("scripts", {}))]
        for name, value in entries.items()
    }
    assert announced == declared, "run `make install`"


def test_one_release_has_one_version():
    """All six carry the same version, and the extra `all` asks for exactly that one of each."""
    versions = {project(folder)["name"]: project(folder)["version"] for folder in FOLDERS}
    assert len(set(versions.values())) == 1
    siblings = {f"{name}=={version}" for name, version in versions.items() if name != "flowtell"}
    assert set(project("core")["optional-dependencies"]["all"]) == siblings


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_distribution_carries_the_licence(folder):
    """A copy in each folder, because a source distribution cannot reach above its own."""
    assert (ROOT / folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
