"""Writes tests/slow.txt: the tests that took long, by a report of a run of all of them. `conftest.py` marks them slow.

    make test-all ARGS="--junitxml=report.xml" && python tests/slow_tests.py report.xml

What is slow by its nature says so in its file, `@pytest.mark.slow`; what is in the list only takes its time, and would hold
up everybody who runs `make test`.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
LIST = HERE / "slow.txt"
SECONDS = 1.2
"""With its fixtures, on two cores that did nothing else."""


def node(classname: str, name: str) -> str:
    """A test's id without its parameters: `tests/a/test_b.py::TestC::test_d`."""
    parts = classname.split(".")
    for end in range(len(parts), 0, -1):
        if HERE.parent.joinpath(*parts[:end]).with_suffix(".py").exists():
            return "::".join(["/".join(parts[:end]) + ".py", *parts[end:], name.partition("[")[0]])
    raise ValueError(f"no file has {classname}")


def longest(report: str) -> dict[str, float]:
    """Seconds by test; of one with parameters those of the slowest."""
    found: dict[str, float] = defaultdict(float)
    for case in ET.parse(report).getroot().iter("testcase"):  # pytest's own
        key = node(case.get("classname", ""), case.get("name", ""))
        found[key] = max(found[key], float(case.get("time", "0")))
    return found


def main(report: str, seconds: float = SECONDS) -> None:
    LIST.write_text("".join(f"{one}\n" for one, took in sorted(longest(report).items()) if took >= seconds))


if __name__ == "__main__":
    main(sys.argv[1], *map(float, sys.argv[2:3]))
