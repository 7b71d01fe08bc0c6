"""docs/reference/parity.md says of everything that Prefect's scripts use whether it is here, or why it is not."""

from __future__ import annotations

import json
import os
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from .conftest import ROOT

STORED = ROOT / "docs" / "parity" / "prefect.json"


def missing(page) -> list[tuple[str, str, str]]:
    """Table, what, reason: of all that is not here."""
    found = []
    for path, rows in page.all_rows().items():
        of_names = path.endswith(":")
        for row in rows:
            if not row.here:
                what = f"{path[:-1]}.{row.name}" if of_names else f"{path}({row.name})"
                found.append(("names" if of_names else "keywords", what, row.reason))
    return found


def test_the_page_is_not_stale(page):
    """`make docs` writes it."""
    assert page.PAGE.read_text() == page.page()


def test_what_is_not_here_has_a_reason(page):
    """One keyword that Prefect adds is enough to fail."""
    assert [what for _, what, reason in missing(page) if not reason] == []


def test_no_reason_is_left_over(page):
    """What has been built since is taken from the list."""
    used = set()
    for table, what, _ in missing(page):
        fitting = [pattern for pattern in page.reasons()[table] if fnmatchcase(what, pattern)]
        used.add((table, max(fitting, key=len)))
    alone = {("names", path) for path, rows in page.all_rows().items() if not rows}
    listed = {(table, pattern) for table, patterns in page.reasons().items() for pattern in patterns}
    assert listed - used - alone == set()


def test_a_name_that_is_nowhere_is_not_found(page):
    """Nothing counts as the same because something beside it is there."""
    assert page.find("flowtell.flow") is not None
    assert page.find("flowtell.runtime.flow_run.id") is not None
    for path in ("flowtell.flows", "flowtell.runtime.flow_run.api_url", "flowtell.Task.delay", "flowtell.states.State.data"):
        assert page.find(path) is None
    assert "viz_return_value" not in page.our_keywords("prefect.task")
    assert "retries" in page.our_keywords("prefect.tasks.Task.with_options")


@pytest.mark.slow
def test_prefect_says_what_is_stored(prefect_python: Path, tmp_path: Path):
    """The stored list is what the installed package tells; another version's is made by `make parity`."""
    script = ROOT / "docs" / "parity" / "prefect_signatures.py"
    environ = {**os.environ, "PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "1"}
    told = subprocess.run([prefect_python, script], env=environ, capture_output=True, text=True, check=True).stdout
    stored, told = json.loads(STORED.read_text()), json.loads(told)
    if told["version"] != stored["version"]:
        pytest.skip(f"the list is of Prefect {stored['version']}, and {told['version']} is installed")
    assert {**told, "python": ""} == {**stored, "python": ""}
