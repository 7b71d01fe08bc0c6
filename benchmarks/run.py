"""Run the benchmarks and compare each figure with its bound: `python benchmarks/run.py [NAME…] [--quick] [--json]`.

Every module of this folder that has `measure(quick)` is one. The exit code is 1 when a bound was missed, or a benchmark
could not run: a figure that nobody can make is no figure.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from figure import Figure

HERE = Path(__file__).parent


class Measured(NamedTuple):
    """What one benchmark gave, or why it gave nothing."""

    name: str
    figures: list[Figure]
    seconds: float
    problem: str = ""

    @property
    def well(self) -> bool:
        return not self.problem and all(figure.reached for figure in self.figures)


def names() -> list[str]:
    """Those that are no benchmark have no `measure`."""
    return sorted(path.stem for path in HERE.glob("*.py") if "def measure(" in path.read_text() and path != Path(__file__))


def run(name: str, *, quick: bool) -> Measured:
    began = time.monotonic()
    try:
        figures = list(importlib.import_module(name).measure(quick))
    except Exception as error:  # noqa: BLE001  # one that cannot run must not hide the others' figures
        return Measured(name, [], time.monotonic() - began, f"{type(error).__name__}: {error}")
    return Measured(name, figures, time.monotonic() - began)


def rows(measured: Measured) -> Iterator[tuple[str, str, str, str, str]]:
    for figure in measured.figures:
        verdict = ("reached" if figure.reached else "MISSED") if figure.bound else ""
        yield figure.name, f"{figure.value:,.4g} {figure.unit}", figure.bound, verdict, figure.note
    if measured.problem:
        yield measured.name, "", "", "FAILED", measured.problem


def machine() -> str:
    """What the figures were made on, without naming the machine."""
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"


def as_json(measured: Measured) -> list[dict[str, Any]]:
    told = [{**figure._asdict(), "reached": figure.reached} for figure in measured.figures]
    problems = [{"name": measured.name, "problem": measured.problem, "reached": False}] if measured.problem else []
    return [*told, *problems]


def main() -> int:
    known = names()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=f"benchmarks: {', '.join(known)}")
    parser.add_argument("name", nargs="*", help="run these only")
    parser.add_argument("--quick", action="store_true", help="smaller loads: says whether it works, not how fast it is")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    unknown = set(arguments.name) - set(known)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    done = []
    for name in arguments.name or known:
        print(f"{name} …", file=sys.stderr, flush=True)
        done.append(run(name, quick=arguments.quick))
    if arguments.json:
        figures = [figure for measured in done for figure in as_json(measured)]
        print(json.dumps({"date": time.strftime("%Y-%m-%d"), "machine": machine(), "figures": figures}, indent=2))
    else:
        print_table([row for measured in done for row in rows(measured)])
    return 0 if all(measured.well for measured in done) else 1


def print_table(table: list[tuple[str, str, str, str, str]]) -> None:
    head = ("what", "measured", "bound", "", "against")
    widths = [max(len(row[place]) for row in (head, *table)) for place in range(len(head) - 1)]
    print(f"{time.strftime('%Y-%m-%d')} · {machine()}\n")
    for row in (head, *table):
        print("  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1])).rstrip())


if __name__ == "__main__":
    sys.exit(main())
