"""Releases before this one, built from the history of this repository and installed as a user has them.

A wheel of the core as it was at a commit, in an environment of its own with what that core depends on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Older(NamedTuple):
    """One of them."""

    commit: str
    """The last one of its time."""
    ships: bool
    """Whether its flows could send their journals to a server elsewhere."""
    schema: int
    """Which version of our tables it makes."""


RELEASES = {
    "one machine": Older("3861db525390400c7a5cd57cca9e3e4eef55769d", ships=False, schema=1),
    "several machines": Older("bacfa8f3a23650a42cf62ac67cab1506f0d17462", ships=True, schema=2),
}


class CannotBuild(Exception):
    """There is no such release to be had here; the text says why."""


def install(older: Older, folder: Path) -> Path:
    """The Python of an environment in `folder` that has this release, and nothing of today's.

    Raises:
        CannotBuild: the history or a package that it needs is not here, as in a shallow clone or without a network.
    """
    wheel = _wheel(older.commit, folder)
    python = folder / "environment" / "bin" / "python"
    _do("makes no environment", sys.executable, "-m", "venv", str(folder / "environment"))
    constraints = folder / "source" / "constraints.txt"
    _do("cannot be installed", str(python), "-m", "pip", "install", "--quiet", "-c", str(constraints), str(wheel))
    return python


def _wheel(commit: str, folder: Path) -> Path:
    archive = _do("is not in this history", "git", "-C", str(ROOT), "archive", commit, "core", "constraints.txt")
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder / "source", filter="data")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "wheels")]
    _do("cannot be built", *build, str(folder / "source" / "core"))
    return next((folder / "wheels").glob("*.whl"))


def _do(problem: str, *command: str) -> bytes:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    try:
        return subprocess.run(command, capture_output=True, check=True, timeout=300, env=environment).stdout
    except FileNotFoundError as error:
        raise CannotBuild(f"an older release {problem}: {error}") from error
    except subprocess.TimeoutExpired as error:
        raise CannotBuild(f"an older release {problem} within {error.timeout} s") from error
    except subprocess.CalledProcessError as error:
        last = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit {error.returncode}"]
        raise CannotBuild(f"an older release {problem}: {last[0]}") from error
