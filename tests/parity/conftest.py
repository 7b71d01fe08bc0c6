"""Prefect in an environment of its own, where there is one: `make prefect-environment`."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.environ.get("PREFECT_ENVIRONMENT", Path.home() / ".cache" / "flowtell-tests" / "prefect"))


@pytest.fixture(scope="session")
def prefect_python() -> Path:
    """The Python that has Prefect, or a skip."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no Prefect at {ENVIRONMENT}; 'make prefect-environment' makes one")
    return python


@pytest.fixture(scope="session")
def page() -> SimpleNamespace:
    """What writes the page."""
    return SimpleNamespace(**runpy.run_path(str(ROOT / "docs" / "parity_reference.py")))
