"""What `import flowtell` costs above a bare interpreter, against `import msgspec`, which is the one thing it brings.

Each is a process of its own, with compiled modules in a folder of this benchmark. They alternate, and the
quickest of each counts: on a busy machine the others were disturbed.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile

from figure import Figure

_STARTS = {"bare": "pass", "msgspec": "import msgspec", "flowtell": "import flowtell"}
_BROUGHT = (
    "import sys, sysconfig, msgspec; before = set(sys.modules); import flowtell; site = sysconfig.get_path('purelib');"
    "print(*sorted({name for name in set(sys.modules) - before if name.partition('.')[0] != 'flowtell'"
    " and (getattr(sys.modules[name], '__file__', None) or '').startswith(site)}))"
)


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        rounds = [[_start(code, environment) for code in _STARTS.values()] for _ in range(8 if quick else 30)][1:]
        brought = subprocess.run(
            [sys.executable, "-c", _BROUGHT], env=environment, capture_output=True, text=True, check=True
        ).stdout.split()
    bare, msgspec, flowtell = (min(column) * 1e3 for column in zip(*rounds, strict=True))
    return [
        Figure(
            "import flowtell above a bare interpreter",
            (flowtell - bare) / (msgspec - bare),
            "times",
            at_most=1.4,
            note=f"in imports of msgspec: {flowtell - bare:.0f} ms to {msgspec - bare:.0f} ms, bare {bare:.0f} ms",
        ),
        Figure("third-party modules beside msgspec's", len(brought), "", at_most=0, note=" ".join(brought)),
    ]


def _start(code: str, environment: dict[str, str]) -> float:
    """CPU seconds of one process: they say what was done, not what it had to wait for."""
    before = _children()
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return _children() - before


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    for figure in measure(quick=False):
        print(f"{figure.name:44}{figure.value:8.2f} {figure.unit:6} {figure.bound}  {figure.note}")
