"""A later core, made of the present one: its release after next has event types, fields and a header that we do not know.

Only what a later version may do by the rules of `flowtell.events` is done. Each change must find its place, so a core that
has moved on makes the tests say that this file has to follow.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import flowtell

RATED = """class FlowRunRated(Event, tag="flow_run.rated"):
    stars: int = 0
    by: tuple[str, ...] = ()"""

CHANGES = {
    "version.py": [('VERSION = "0.1.0"', 'VERSION = "9.0.0"')],
    "journal.py": [
        ('    source: str = ""\n    elsewhere', '    source: str = ""\n    region: str = "moon"\n    elsewhere'),
    ],
    "events.py": [
        (
            "class _Finished(Event):\n",
            'class _Finished(Event):\n    weather: str = "fair"\n    forecast: dict[str, Any] = {}\n',
        ),
        ('    traceback: str = ""\n', '    traceback: str = ""\n    hint: str = ""\n'),
        (
            "# --- names of one's own, and tomorrow's ",
            f"{RATED}\n\n\n# --- names of one's own, and tomorrow's ",
        ),
    ],
}
FORMAT = {"journal.py": [("FORMAT: Final = 1", "FORMAT: Final = 2")]}
SCHEMA = {"store/tables.py": [("SCHEMA_VERSION: Final = 3", "SCHEMA_VERSION: Final = 4")]}


def make(folder: Path, *more: dict[str, list[tuple[str, str]]]) -> Path:
    """The folder to put first on the path of a process of that version."""
    shutil.copytree(Path(flowtell.__file__).parent, folder / "flowtell", ignore=shutil.ignore_patterns("__pycache__"))
    for changes in (CHANGES, *more):
        for name, pairs in changes.items():
            path = folder / "flowtell" / name
            text = path.read_text()
            for old, new in pairs:
                assert text.count(old) == 1, f"{name}: {old!r} is there {text.count(old)} times"
                text = text.replace(old, new)
            path.write_text(text)
    return folder
