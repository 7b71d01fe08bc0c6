"""What a type checker knows of the names that plugin authors import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# Closed to plugins; what of them reaches users, by `import flowtell`, is checked in tests/typing.
WINGS = ("flowtell.cli.", "flowtell.engine.", "flowtell.server.")


def test_every_public_name_of_the_ground_floor_has_a_known_type():
    """Pyright, looking at the installed package as an editor does, finds no name whose type it cannot tell.

    Attributes that take the type of an annotated parameter count as known, though pyright would like it repeated.
    """
    python = Path(sys.executable)
    result = subprocess.run(
        [python, "-m", "pyright", "--verifytypes", "flowtell", "--ignoreexternal", "--outputjson"],
        env={**os.environ, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    symbols = json.loads(result.stdout)["typeCompleteness"]["symbols"]
    unknown = [
        f"{symbol['name']}: {diagnostic['message']}"
        for symbol in symbols
        if symbol["isExported"] and not symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]
        if not symbol["name"].startswith(WINGS)
        for diagnostic in symbol["diagnostics"]
    ]
    assert symbols, result.stdout
    assert not unknown, "\n".join(unknown)
