"""How long `flowtell --help` takes, against a bare interpreter and the import of the parser that it does without.

Each is a process of its own, with compiled modules in a folder of this benchmark. They alternate, and medians are
compared, as in `import_cost`.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time

from figure import Figure

_HELP = "import sys; from flowtell.cli import main; sys.exit(main(['--help']))"
_STARTS = {"bare": "pass", "cyclopts": "import cyclopts", "help": _HELP}


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        rounds = [[_start(code, environment) for code in _STARTS.values()] for _ in range(8 if quick else 30)][1:]
    bare, cyclopts, page = (statistics.median(column) * 1e3 for column in zip(*rounds, strict=True))
    return [
        Figure("flowtell --help", page, "ms", at_most=250, note=f"a bare interpreter {bare:.0f} ms"),
        Figure("flowtell --help, in bare interpreters", page / bare, "times"),
        Figure("flowtell --help, in imports of cyclopts alone", page / cyclopts, "times", note=f"{cyclopts:.0f} ms"),
    ]


def _start(code: str, environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    for figure in measure(quick=False):
        print(f"{figure.name:48}{figure.value:8.2f} {figure.unit:6} {figure.bound}  {figure.note}")
