"""Scripts that run in a process of their own, and the events that they leave."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from flowtell.events import Event, decode

Script = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def script(tmp_path: Path, home: Path) -> Script:
    """Start Python code in a process of its own, with this test's home."""

    def start(code: str, **environment: str) -> subprocess.Popen[str]:
        path = tmp_path / "script.py"
        path.write_text(textwrap.dedent(code), encoding="utf-8")
        return subprocess.Popen(
            [sys.executable, str(path)],
            env={**os.environ, "FLOWTELL_HOME": str(home), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def journaled(home: Path) -> Callable[[], list[Event]]:
    """All events that any process has written into this test's home, in order of time."""

    def read() -> list[Event]:
        lines = [line for path in home.glob("journals/*.jsonl") for line in path.read_bytes().splitlines()]
        return sorted((decode(line) for line in lines if b'"type":"journal.' not in line), key=lambda event: event.time)

    return read
