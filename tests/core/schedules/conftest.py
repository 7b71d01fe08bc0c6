"""Makes the oracle beside these tests importable, and offers flows of a file as deployments."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from flowtell import bus
from flowtell.cli.flow_target import find_flow

sys.path.insert(0, str(Path(__file__).parent))

FLOWS = """
    import os, time
    from pathlib import Path
    from flowtell import current_run, flow

    @flow
    def note(folder: str, seconds: float = 0.0):
        run = current_run()
        with open(Path(folder) / "begun", "a") as file:
            file.write(f"{run.flow_run_id} {run.due.timestamp()}\\n")
        until = time.monotonic() + seconds
        while time.monotonic() < until and not (Path(folder) / "let go").exists():
            time.sleep(0.02)

    @flow
    def count(folder: str, n: int):
        with open(Path(folder) / "counted", "a") as file:
            file.write(f"{n} {current_run().due}\\n")

    @flow
    def failing():
        raise ValueError("on purpose")
"""


@pytest.fixture
def flows(tmp_path, monkeypatch):
    """Flows of a file, by name, as another process finds them too."""
    path = tmp_path / f"flows_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(textwrap.dedent(FLOWS))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("FLOWTELL_QUIET", "1")
    bus.renew()
    find_flow(f"{path}:note")
    yield lambda name: getattr(sys.modules[path.stem], name)
    sys.modules.pop(path.stem, None)
