"""Rules of a file in a real server: a flow that states none is watched, also after the file changed and after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FLOWTELL = str(Path(sys.executable).with_name("flowtell"))


@pytest.mark.slow
def test_a_flow_that_states_no_rule_is_watched(house, monkeypatch):
    """An incident opens by the file's rule; a server that is killed and started tells the log nothing again."""
    file = house.folder / "flowtell.toml"
    file.write_text('[[rules]]\nkind = "failed"\nflow = "cron_*"\n')
    monkeypatch.chdir(house.folder)
    server = house.server()
    house.until(lambda: house.sql("SELECT 1 FROM events WHERE type='rule.declared'"), 30, "the rule is declared")
    subprocess.run([FLOWTELL, "exec", "--flow", "cron_backup", "--", "false"], capture_output=True, check=False)
    house.until(lambda: house.sql("SELECT 1 FROM alerts_incidents WHERE resolved IS NULL"), 30, "the incident is open")
    house.kill(server)
    house.server()
    file.write_text(file.read_text() + '\n[[rules]]\nkind = "late"\nafter = "5m"\n')
    house.until(lambda: _count(house, "rule.declared") == 2, 30, "the new rule is declared")
    file.write_text('[[rules]]\nkind = "late"\nafter = "5m"\n')
    house.until(lambda: house.sql("SELECT 1 FROM alerts_incidents WHERE reason='rule removed'"), 30, "the rule is gone")
    assert _count(house, "rule.removed") == 1
    assert _count(house, "incident.opened") == 1


@pytest.mark.slow
def test_a_server_does_not_start_with_a_slip_in_its_rules(house):
    """It says which, and where."""
    (house.folder / "flowtell.toml").write_text('[[rules]]\nkind = "faild"\n')
    done = subprocess.run(
        [FLOWTELL, "up", "--port", "0"],
        cwd=house.folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "FT1102" in done.stderr
    assert "did you mean 'failed'" in done.stderr
    assert "flowtell.toml:1" in done.stderr


def _count(house, kind):
    return house.sql("SELECT count(*) FROM events WHERE type=?", kind)[0][0]
