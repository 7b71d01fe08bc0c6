"""Every error has a code of its own, and a line in docs/errors.md."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCES = [
    path
    for folder in ("core", "exporters", "lineage", "alerts", "dashboard", "sources")
    for path in sorted((ROOT / folder).rglob("*.py"))
]


def errors_of(path: Path) -> list[tuple[str, str]]:
    """The code and name of each class that states a code."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef):
            found += [
                (line.value.value, node.name)
                for line in node.body
                if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant) and line.targets[0].id == "code"
            ]
    return found


ERRORS = sorted(error for path in SOURCES if 'code = "FT' in path.read_text() for error in errors_of(path))
ROWS = {
    code: (name, happened.strip(), mend.strip())
    for code, name, happened, mend in re.findall(
        r"^\| (FT\d+) \| `(\w+)` \| (.+?) \| (.+?) \|$", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE
    )
}


@pytest.mark.parametrize(("code", "name"), ERRORS, ids=[code for code, _ in ERRORS])
def test_an_error_has_its_line_in_the_docs(code, name):
    """It says what happened and what to do."""
    assert code in ROWS, f"docs/errors.md lacks {code} ({name})"
    documented, happened, mend = ROWS[code]
    assert documented == name
    assert happened.endswith(".")
    assert mend.endswith(".")


def test_no_two_errors_share_a_code():
    codes = [code for code, _ in ERRORS]
    assert len(set(codes)) == len(codes)


def test_the_docs_know_no_error_that_is_gone():
    assert set(ROWS) == {code for code, _ in ERRORS}
