"""The import contracts of pyproject.toml hold, and each of them would notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("core", "exporters", "lineage", "alerts", "dashboard", "sources")

# Contract, module that imports, module that it must not import.
FORBIDDEN = [
    ("core", "flowtell.events", "flowtell.engine"),
    ("core", "flowtell.journal", "flowtell.server"),
    ("core", "flowtell.plugin", "flowtell.cli"),
    ("core", "flowtell.engine", "flowtell.server"),
    ("core", "flowtell.server", "flowtell.engine"),
    ("core", "flowtell.engine", "flowtell.cli"),
    ("distributions", "flowtell.config", "flowtell_exporters"),
    ("distributions", "flowtell.cli", "flowtell_dashboard"),
    ("distributions", "flowtell_exporters", "flowtell_lineage"),
    ("distributions", "flowtell_lineage", "flowtell_alerts"),
    ("distributions", "flowtell_alerts", "flowtell_sources"),
    ("distributions", "flowtell_lineage", "flowtell_dashboard"),
    ("dashboard", "flowtell_dashboard", "flowtell_exporters"),
    ("dashboard", "flowtell_dashboard", "flowtell_sources"),
    ("dashboard", "flowtell_dashboard", "flowtell_lineage.subpackage.deep"),
    ("public", "flowtell_lineage", "flowtell.engine"),
    ("public", "flowtell_sources", "flowtell.server.subpackage"),
    ("public", "flowtell_alerts", "flowtell._private"),
    ("public", "flowtell_dashboard", "flowtell_alerts._private"),
    ("public", "flowtell_exporters", "flowtell.journal._private"),
]

ALLOWED = [
    ("core", "flowtell.cli", "flowtell.engine"),
    ("core", "flowtell.server", "flowtell.plugin"),
    ("distributions", "flowtell_sources", "flowtell"),
    ("dashboard", "flowtell_dashboard", "flowtell_lineage.reads"),
    ("public", "flowtell_dashboard", "flowtell_alerts.reads"),
    ("public", "flowtell_alerts", "flowtell_alerts._private"),
]


def test_the_contracts_hold():
    """The sources as they are keep every contract."""
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("contract", "importer", "imported"), FORBIDDEN)
def test_a_forbidden_import_breaks_its_contract(workspace, contract, importer, imported):
    """One line added anywhere that DESIGN.md forbids it fails the check, which names the line."""
    add_import(workspace, importer, imported)
    result = lint_imports(workspace, contract)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "0 kept, 1 broken" in result.stdout
    assert f"{importer} -> {imported}" in result.stdout


@pytest.mark.parametrize(("contract", "importer", "imported"), ALLOWED)
def test_an_import_that_the_design_wants_is_allowed(workspace, contract, importer, imported):
    """The contracts forbid what they name and no more."""
    add_import(workspace, importer, imported)
    result = lint_imports(workspace, contract)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_new_module_of_the_core_must_be_given_a_floor(workspace):
    """A module that no layer lists would be free to import anything, so the check asks where it stands."""
    source_of(workspace, "flowtell.newcomer").write_text('"""New."""\n')
    result = lint_imports(workspace, "core")
    assert result.returncode == 1
    assert "flowtell.newcomer" in result.stdout


@pytest.fixture
def workspace(tmp_path):
    """A copy of pyproject.toml, the contract type and the six packages, to spoil."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    contract_type = Path("tests/architecture/contracts.py")
    (tmp_path / contract_type.parent).mkdir(parents=True)
    shutil.copy(ROOT / contract_type, tmp_path / contract_type)
    for folder in FOLDERS:
        for package in (ROOT / folder).glob("flowtell*/"):
            shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def add_import(workspace: Path, importer: str, imported: str) -> None:
    """Let `importer` import `imported`; whichever of the two does not exist is made."""
    source_of(workspace, imported).touch()
    source = source_of(workspace, importer)
    source.touch()
    source.write_text(f"{source.read_text()}\n\ndef _spoiled():\n    import {imported}\n")


def source_of(workspace: Path, module: str) -> Path:
    """The file of a module, in packages that are made as needed."""
    path = workspace.joinpath(*module.split("."))
    if path.is_dir():
        return path / "__init__.py"
    for package in reversed(path.relative_to(workspace).parents[:-1]):
        as_module, as_package = workspace / f"{package}.py", workspace / package / "__init__.py"
        as_package.parent.mkdir(exist_ok=True)
        if as_module.exists():
            as_module.rename(as_package)
        as_package.touch()
    return path.with_suffix(".py")


def lint_imports(folder: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    only = [part for contract in contracts for part in ("--contract", contract)]
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache", *only],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
