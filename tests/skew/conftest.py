"""A later core as a folder, made once; the house of the end-to-end tests, whose processes may run either version."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import pytest

HERE = Path(__file__).parent


def _load(path):
    spec = importlib.util.spec_from_file_location(f"skew_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


newer = _load(HERE / "newer.py")
older = _load(HERE / "older.py")
House = _load(HERE.parent / "e2e" / "conftest.py").House


@pytest.fixture(scope="session")
def tomorrow(tmp_path_factory):
    """A core with types, fields and a header that the present one does not know."""
    return newer.make(tmp_path_factory.mktemp("tomorrow"))


@pytest.fixture(scope="session")
def after_tomorrow(tmp_path_factory):
    """One whose journals and store are of a later format too."""
    return newer.make(tmp_path_factory.mktemp("after"), newer.FORMAT, newer.SCHEMA)


@pytest.fixture(scope="session")
def later_format(tmp_path_factory):
    """One whose journals are of a later format, over the same store."""
    return newer.make(tmp_path_factory.mktemp("format"), newer.FORMAT)


class Installed(NamedTuple):
    """A release before this one in an environment of its own."""

    older: Any
    python: Path


@pytest.fixture(scope="session", params=older.RELEASES.values(), ids=older.RELEASES)
def installed(request, tmp_path_factory):
    """Each of them, or a skip where it cannot be built: a shallow clone, no network."""
    try:
        return Installed(request.param, older.install(request.param, tmp_path_factory.mktemp("older")))
    except older.CannotBuild as error:
        pytest.skip(str(error))


@pytest.fixture
def house(home, tmp_path):
    made = House(home, tmp_path)
    yield made
    made.close()
