"""Writes the journals of the present core into a folder that is kept for ever: run once for each release.

    python tests/skew/freeze.py tests/skew/v0_1

One journal has an event of every type with every field (the golden lines), one has real flows: good, failing, retried,
nested, one that makes assets, and one that was killed. What they hold is counted beside them, in `counts.json`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from flowtell.ids import new_id
from flowtell.journal import open_journal

HERE = Path(__file__).parent


def every_type(home: str) -> None:
    """The golden lines, each under an id and run of its own, so that each is an event of its own."""
    journal = open_journal(home, environment="old", version="0.1.0")
    for path in sorted((HERE.parent / "golden").glob("*.json")):
        fields = json.loads(path.read_bytes()) | {"id": new_id(), "run": new_id()}
        journal.write(json.dumps(fields, separators=(",", ":")).encode() + b"\n")
    journal.close()


def real_flows(home: str) -> None:
    environment = {**os.environ, "FLOWTELL_HOME": home, "FLOWTELL_ENVIRONMENT": "old"}
    for name in ("ends", "is_killed"):
        subprocess.run([sys.executable, str(HERE / "flows.py"), name], env=environment, cwd=home, check=False)


def of_no_machine(lines: bytes) -> bytes:
    """Without the paths and the boot id of the machine it was written on."""
    boot = json.loads(lines.partition(b"\n")[0])["boot"]
    for here, anywhere in ((HERE.parents[1], "/opt/flowtell"), (sys.base_prefix, "/usr"), (boot, "of another machine")):
        lines = lines.replace(str(here).encode(), anywhere.encode())
    return lines


def main(folder: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        every_type(home)
        real_flows(home)
        Path(folder).mkdir()
        for path in (Path(home) / "journals").glob("*.jsonl"):
            (Path(folder) / path.name).write_bytes(of_no_machine(path.read_bytes()))
    lines = [line for path in Path(folder).glob("*.jsonl") for line in path.read_bytes().splitlines()[1:]]
    counts = Counter(json.loads(line)["type"] for line in lines)
    (Path(folder) / "counts.json").write_text(json.dumps(dict(sorted(counts.items())), indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
