"""Ordinary scripts print the same and end the same as under Prefect, after their imports alone are changed."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sources.prefect.conftest import PrefectServer

from .ordinary import FOLDER, IMPORT, SCRIPTS, as_here, recorded, under_flowtell, under_prefect, with_our_imports


@pytest.mark.parametrize("name", SCRIPTS)
def test_under_flowtell_it_is_as_recorded_of_prefect(name: str, tmp_path: Path, page):
    """What it prints, and how many runs of each flow and task ended how."""
    assert under_flowtell(name, tmp_path, page.our_path) == as_here(recorded(name))


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_imports_are_changed(name: str, page):
    """And nothing of Prefect's is left."""
    before = (FOLDER / f"{name}.py").read_text()
    after = with_our_imports(before, page.our_path)
    changed = [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]
    assert changed
    assert all(IMPORT.match(old) for old, _ in changed)
    imported = [node.module for node in ast.walk(ast.parse(after)) if isinstance(node, ast.ImportFrom)]
    assert not [module for module in imported if module and module.startswith("prefect")]


@pytest.fixture(scope="session")
def prefect_server(prefect_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    server = PrefectServer(tmp_path_factory.mktemp("prefect"))
    server.start()
    yield server
    server.kill()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", SCRIPTS)
def test_under_prefect_it_is_as_recorded(name: str, prefect_server: PrefectServer):
    """The records are Prefect's own."""
    assert under_prefect(name, prefect_server) == recorded(name)


def test_the_records_are_of_the_version_that_the_page_is_of(page):
    """Made anew together."""
    versions = {json.loads(path.read_text())["version"] for path in FOLDER.glob("*.json")}
    assert versions == {page.prefect()["version"]}
