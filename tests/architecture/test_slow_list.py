"""The list of slow tests names tests that there are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_of_the_list_is_there():
    """In its own file, or in a contract that its class inherits."""
    contracts = "".join(path.read_text() for path in (ROOT / "core" / "flowtell" / "testing").glob("*.py"))
    sources: dict[str, str] = {}
    gone = []
    for line in (ROOT / "tests" / "slow.txt").read_text().split():
        file, name = line.split("::")[0], line.split("::")[-1]
        path = ROOT / file
        text = sources.setdefault(file, path.read_text() if path.exists() else "")
        if f"def {name}(" not in text and f"def {name}(" not in contracts and not _inherited(path, name):
            gone.append(line)
    assert gone == [], "python tests/slow_tests.py writes the list anew"


def _inherited(path: Path, name: str) -> bool:
    """Whether a file beside it has the test, of which it makes a variant."""
    return any(f"def {name}(" in other.read_text() for other in path.parent.glob("*.py"))
