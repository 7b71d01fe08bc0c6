"""`flowtell lineage show`: a tree for people, edges for pipes, JSON for programs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flowtell.bus import emit, renew
from flowtell.events import AssetFailed, AssetMaterialized, Failure, UpstreamAsset
from flowtell.ids import new_id
from flowtell_lineage.commands import EMPTY, SWITCHED_OFF, show
from flowtell_lineage.errors import AssetNotFound

RAW, CLEAN, REPORT = "s3://lake/raw", "s3://lake/clean", "s3://lake/report"
AT = 1_767_225_600_000_000


@pytest.fixture
def flows_have_run(home):
    """What two flows left in a journal: a chain of three assets, one beside it, and one that failed."""
    made(CLEAN, RAW, at=1, rows=1200)
    made(REPORT, CLEAN, at=2)
    made("s3://lake/extra", CLEAN, at=3)
    made("s3://lake/alone", at=4)
    emit(AssetFailed(id=new_id(), time=AT + 5, asset=REPORT, state="crashed", error=Failure(message="out of memory")))
    renew()


def made(asset, *upstream, at, **fields):
    edges = tuple(UpstreamAsset(asset=key, evidence="future") for key in upstream)
    emit(AssetMaterialized(id=new_id(), time=AT + at, asset=asset, upstream=edges, flow="nightly", task="load", **fields))


@pytest.fixture
def on_a_terminal(monkeypatch):
    """Let stdout be one that is wide and has no styles."""

    def pretend():
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    return pretend


def test_a_pipe_gets_one_edge_a_line(flows_have_run, capsys):
    """And an asset that is made of nothing known stands alone, so that the second place names them all."""
    show()
    assert capsys.readouterr().out.splitlines() == [
        "\ts3://lake/alone\t",
        f"\t{RAW}\t",
        f"{RAW}\t{CLEAN}\tfuture",
        f"{CLEAN}\ts3://lake/extra\tfuture",
        f"{CLEAN}\t{REPORT}\tfuture",
    ]


def test_a_terminal_gets_trees(flows_have_run, on_a_terminal, capsys):
    on_a_terminal()
    show()
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("s3://lake/alone  ✔ materialized")
    assert lines[1] == RAW
    assert lines[2].startswith(f"└── {CLEAN}  ✔ materialized")
    assert lines[2].endswith("1,200 rows  future")
    assert lines[3].startswith("    ├── s3://lake/extra")
    assert lines[4].startswith(f"    └── {REPORT}  ✘ crashed")


def test_one_asset_is_shown_with_both_sides(flows_have_run, on_a_terminal, capsys):
    on_a_terminal()
    show(CLEAN)
    shown = capsys.readouterr().out
    assert "made by   " in shown
    assert "nightly / load" in shown
    up, _, down = shown.partition("Used by")
    assert f"└── {RAW}" in up.partition("Made of")[2]
    assert "├── s3://lake/extra" in down
    assert f"└── {REPORT}" in down


def test_what_went_wrong_is_told(flows_have_run, on_a_terminal, capsys):
    on_a_terminal()
    show(REPORT)
    assert "out of memory" in capsys.readouterr().out


def test_json_is_the_graph(flows_have_run, capsys):
    show(json=True)
    graph = json.loads(capsys.readouterr().out)
    assert [asset["asset"] for asset in graph["assets"]] == ["s3://lake/alone", CLEAN, "s3://lake/extra", RAW, REPORT]
    assert graph["edges"][0] | {"seen": 0} == {
        "upstream": RAW,
        "downstream": CLEAN,
        "evidence": "future",
        "first_seen": AT + 1,
        "last_seen": AT + 1,
        "seen": 0,
    }


def test_without_assets_it_says_what_to_do(home, capsys):
    show()
    told = capsys.readouterr()
    assert (told.out, told.err.strip()) == ("", EMPTY)


def test_where_the_plugin_is_off_it_says_so(flows_have_run, monkeypatch, capsys):
    """Its tables were never made, which is no error."""
    monkeypatch.setenv("FLOWTELL_PLUGINS__DISABLE", "lineage")
    show()
    told = capsys.readouterr()
    assert (told.out, told.err.strip()) == ("", SWITCHED_OFF)
    with pytest.raises(AssetNotFound):
        show(CLEAN)


def test_without_assets_json_is_an_empty_graph(home, capsys):
    show(json=True)
    assert json.loads(capsys.readouterr().out) == {}


def test_an_unknown_asset_is_an_error_with_the_closest(flows_have_run):
    with pytest.raises(AssetNotFound, match=f"Did you mean '{CLEAN}'"):
        show("s3://lake/clen")


def test_the_command_is_found_and_answers_without_a_traceback(flows_have_run):
    """As typed: an error on stderr with its code, nothing on stdout."""
    command = [str(Path(sys.executable).parent / "flowtell"), "lineage", "show", "s3://lake/clen"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "FT1801" in done.stderr
    assert "Traceback" not in done.stderr
