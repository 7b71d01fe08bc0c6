"""The conformance kit over a plugin that is installed, its own or somebody else's."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from flowtell.cli.outcome import Misuse
from flowtell.config import load

_TEST = '''"""Written by `flowtell plugins check`."""

import json
import os
from importlib.metadata import EntryPoint

from flowtell.testing import PluginContract


class TestPlugin(PluginContract):
    name = {name!r}
    settings = json.loads(os.environ["FLOWTELL_CHECKED_SETTINGS"])

    def factory(self):
        return EntryPoint(name={name!r}, value={value!r}, group="flowtell.plugins").load()
'''


def check(name: str) -> int:
    """Put an installed plugin through the conformance kit, with the settings that it has here. Needs pytest.

    It is handed a history of events whole, in pieces, twice, from several writers and across restarts, in a folder
    of its own. An effect talks to the world as it is configured to.

    Args:
        name: The plugin.
    """
    import msgspec

    from flowtell.server.discovery import discover, settings_of

    if find_spec("pytest") is None:
        raise Misuse("the kit runs in pytest: pip install pytest")
    config = load()
    spec = next((spec for spec in discover(config) if spec.name == name), None)
    if spec is None or spec.entry is None:
        raise Misuse(f"no plugin '{name}' is installed; see 'flowtell plugins list'")
    settings = msgspec.json.encode(settings_of(name, config)).decode()
    with tempfile.TemporaryDirectory(prefix="flowtell-check-") as folder:
        file = Path(folder) / "test_plugin.py"
        file.write_text(_TEST.format(name=name, value=spec.entry.value), encoding="utf-8")
        environment = {**os.environ, "FLOWTELL_HOME": f"{folder}/home", "FLOWTELL_CHECKED_SETTINGS": settings}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-v",
            "--no-header",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            folder,
            str(file),
        ]
        done = subprocess.run(command, cwd=folder, env=environment, check=False)
    return done.returncode


__all__ = ["check"]
