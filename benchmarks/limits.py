"""What a limit costs a run, beside the same run without one; and how soon the next goes on when a place becomes free.

The first is one process that never has to wait. The second are eight processes on a limit of three, whose runs do nothing:
all that is measured is handing on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

from figure import Figure

PROCESSES, LIMIT = 8, 3

WORKER = """
import sys, time
from flowtell import flow

@flow(concurrency_limit=3)
def limited():
    pass

limited()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[1])):
    limited()
"""


def measure(quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(FLOWTELL_HOME=home, FLOWTELL_QUIET="1")
        from flowtell import bus

        bus.renew()
        try:
            cost, plain = _cost(rounds=200 if quick else 2000)
            seconds, runs = _handed_on(home, each=20 if quick else 100)
        finally:
            bus.renew()
    note = f"without a limit: {plain * 1e6:.0f} µs"
    handed = f"{PROCESSES} processes, a limit of {LIMIT}, {runs} runs in {seconds:.1f} s"
    return [
        Figure("what a limit adds to a flow run that need not wait", (cost - plain) * 1e6, "µs", at_most=1_000, note=note),
        Figure("a place from one run to the next", seconds * LIMIT / runs * 1e3, "ms", at_most=50, note=handed),
    ]


def _cost(rounds: int) -> tuple[float, float]:
    """Seconds of a run under a limit, and of the same without; the median of rounds that alternate."""
    from flowtell import flow

    @flow(concurrency_limit=3)
    def limited() -> None: ...

    @flow
    def plain() -> None: ...

    taken: dict[str, list[float]] = {"limited": [], "plain": []}
    for _ in range(rounds):
        for name, run in (("limited", limited), ("plain", plain)):
            began = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - began)
    return tuple(sorted(taken[name])[rounds // 2] for name in ("limited", "plain"))  # type: ignore[return-value]


def _handed_on(home: str, each: int) -> tuple[float, int]:
    words = [sys.executable, "-c", WORKER, str(each)]
    environ = {**os.environ, "FLOWTELL_HOME": home}
    workers = [subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(PROCESSES)]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    began = time.monotonic()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"\n")
        worker.stdin.close()
    for worker in workers:
        worker.wait()
    return time.monotonic() - began, each * PROCESSES


if __name__ == "__main__":
    for figure in measure(quick=False):
        print(figure)
