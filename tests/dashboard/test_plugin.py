"""The plugin is cheap where no page is served, and says what it does not know."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flowtell.errors import UnknownKey
from flowtell.events import TYPES, FlowRunHeartbeat
from flowtell.ids import new_id
from flowtell_dashboard.plugin import SHOWN, create


def test_opening_it_imports_neither_dash_nor_a_web_framework(tmp_path):
    """A reading command opens projections too, and must not wait for pages that nobody will see."""
    script = f"""
import sys
from flowtell.testing import PluginHarness
from flowtell_dashboard.plugin import create
with PluginHarness(create, {str(tmp_path)!r}, name="dashboard"):
    print(sorted({{"dash", "fastapi", "plotly"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_it_wants_known_types_and_no_heartbeats():
    """What changes no page wakes none."""
    assert set(SHOWN) <= set(TYPES)
    assert "flow_run.heartbeat" not in SHOWN


def test_a_heartbeat_wakes_nobody(house):
    pulse = house.runner.plugin.pulse
    before = pulse.seq
    house.feed([FlowRunHeartbeat(id=new_id(), time=house.clock(), run="0" * 32)])
    assert pulse.seq == before


def test_a_page_may_look_as_far_as_the_log_was_at_the_start(house):
    """A server that restarts on a full log shows it before the next event."""
    house.restart()
    assert house.runner.plugin.pulse.seq == house.store.log.head()


def test_an_unknown_setting_is_refused_by_its_name():
    with pytest.raises(UnknownKey, match=r"plugin\.dashboard\.theme"):
        create({"theme": "dark"})
