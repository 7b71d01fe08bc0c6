"""From a bare checkout to live pages: `make demo` in a fresh clone of what is committed, packages from the usual places.

The clock starts before `make`, stops when the pages answer, and goes on until a run stands on them. It says how long a
newcomer waits here and now: packages that a cache holds cost no download. BENCH_UV_CACHE=off begins with an empty cache.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from figure import Figure

ROOT = Path(__file__).parents[1]
_LONGEST = 300.0


def measure(quick: bool = False) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="flowtell-bench-") as folder:
        clone = os.path.join(folder, "flowtell")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), clone], check=True)
        return _demo(clone, os.path.join(folder, "home"))


def _demo(clone: str, home: str) -> list[Figure]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "FLOWTELL_HOME": home, **_without_cache(home)}
    began = time.monotonic()
    process = subprocess.Popen(
        ["make", "demo", f"ARGS=--port {port}"], cwd=clone, env=environment, stdout=2, start_new_session=True
    )
    try:
        pages = _until(process, f"http://127.0.0.1:{port}/readyz", lambda _: True) - began
        run = _until(process, f"http://127.0.0.1:{port}/api/runs", lambda text: bool(json.loads(text)["runs"])) - began
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.wait(60)
    return [
        Figure("make demo in a fresh clone, to live pages", pages, "s", at_most=60, note=_with()),
        Figure("make demo in a fresh clone, to the first run on them", run, "s"),
    ]


def _with() -> str:
    if shutil.which("uv") is None:
        return "with pip, as there is no uv"
    return "with uv, nothing cached" if os.environ.get("BENCH_UV_CACHE") == "off" else "with uv, packages cached"


def _without_cache(home: str) -> dict[str, str]:
    return {"UV_CACHE_DIR": f"{home}-cache"} if os.environ.get("BENCH_UV_CACHE") == "off" else {}


def _until(process: subprocess.Popen[bytes], address: str, holds: Any) -> float:
    until = time.monotonic() + _LONGEST
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                if holds(answer.read()):
                    return time.monotonic()
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError(f"{address} did not answer as hoped; exit code {process.poll()}")


if __name__ == "__main__":
    for figure in measure(quick="--quick" in sys.argv):
        print(figure)
