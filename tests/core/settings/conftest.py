"""A folder with a configuration in it, and secrets that the next test does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.core.engine.conftest import journaled, script

from flowtell import secrets

__all__ = ["journaled", "script"]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write `flowtell.toml`, for its owner only, into the folder that this test works in."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "flowtell.toml"
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    return write


@pytest.fixture(autouse=True)
def secrets_of_this_test() -> Iterator[None]:
    yield
    secrets.forget()
