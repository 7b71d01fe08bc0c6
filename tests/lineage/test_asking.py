"""The commands that ask the graph, on a store that flows have filled."""

from __future__ import annotations

import csv
import io
import json
import sys
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

import pytest

from flowtell.bus import emit, renew
from flowtell.cli import main
from flowtell.errors import BadMoment
from flowtell.events import AssetDeclared, AssetMaterialized, Column, ColumnSource, UpstreamAsset
from flowtell.ids import new_id
from flowtell.moments import moment
from flowtell_lineage import asking
from flowtell_lineage.errors import AssetNotFound, BadContract

RAW, CLEAN, REPORT = "s3://lake/raw", "s3://lake/clean", "s3://lake/report"
AT = 1_767_225_600_000_000
"""2026-01-01, UTC."""


@pytest.fixture
def flows_have_run(home):
    made(CLEAN, RAW, at=1, columns=(Column(name="day", origins=(ColumnSource(asset=RAW, column="at"),)),))
    made(REPORT, CLEAN, at=86_400_000_000, columns=(Column(name="revenue"),))
    emit(AssetDeclared(id=new_id(), time=AT + 86_400_000_001, asset=REPORT, owners=("ada", "bob"), name="Report, daily"))
    renew()


def made(asset, *upstream, at, **fields):
    edges = tuple(UpstreamAsset(asset=key, evidence="future") for key in upstream)
    emit(AssetMaterialized(id=new_id(), time=AT + at, asset=asset, upstream=edges, run="a" * 32, **fields))


@pytest.fixture
def asked(flows_have_run, capsys):
    """What a command prints on stdout."""

    def ask(command, *words, **options):
        command(*words, **options)
        return capsys.readouterr().out

    return ask


def test_walks_print_a_line_an_asset(asked):
    lines = asked(asking.downstream, RAW).splitlines()
    assert [line.split("\t")[:3] for line in lines] == [
        [CLEAN, "1", "materialized"],
        [REPORT, "2", "materialized"],
    ]
    assert asked(asking.upstream, REPORT, steps=1).startswith(f"{CLEAN}\t1\t")


def test_impact_as_csv_can_be_read_by_others(asked):
    """Names with commas, too."""
    rows = list(csv.DictReader(io.StringIO(asked(asking.impact, RAW, comma_separated=True))))
    assert [(row["asset"], row["distance"], row["owners"], row["name"]) for row in rows] == [
        (CLEAN, "1", "", ""),
        (REPORT, "2", "ada, bob", "Report, daily"),
    ]


def test_a_path_is_printed_or_the_exit_code_is_1(asked, capsys):
    assert asked(asking.path, RAW, REPORT).splitlines() == [RAW, CLEAN, REPORT]
    assert asking.path(REPORT, RAW) == 1
    assert "No path leads" in capsys.readouterr().err


def test_an_edge_is_explained(asked):
    first = asked(asking.explain, RAW, CLEAN).splitlines()[0].split("\t")
    assert (first[0], first[3]) == ("future", "1")
    found = json.loads(asked(asking.explain, RAW, CLEAN, json=True))
    assert found["columns"][0]["upstream_column"] == "at"
    assert asking.explain(RAW, REPORT) == 1


def test_a_difference_names_what_came(asked):
    assert asked(asking.diff, "2026-01-01T12:00").splitlines() == [f"+\tasset\t{REPORT}\t", f"+\tedge\t{CLEAN}\t{REPORT}"]
    assert json.loads(asked(asking.diff, "2026-01-01T12:00", json=True))["added"] == [REPORT]
    assert asked(asking.upstream, REPORT, as_of="2027-01-01").startswith(CLEAN)


def test_before_it_was_there_it_is_not_found(flows_have_run):
    with pytest.raises(AssetNotFound):
        asking.upstream(REPORT, as_of="2026-01-01T12:00")


def test_exports_are_what_others_read(asked):
    assert {one["asset"] for one in json.loads(asked(asking.export))["assets"]} == {RAW, CLEAN, REPORT}
    text = asked(asking.export, form="mermaid")
    assert text.splitlines()[0] == "flowchart LR"
    assert text.count("-->") == 2
    picture = ET.fromstring(asked(asking.export, CLEAN, form="svg"))
    titles = [node.text for node in picture.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(titles) == [CLEAN, RAW, REPORT]


def test_a_contract_holds_or_tells_where_it_is_broken(flows_have_run, tmp_path, capsys):
    contract = tmp_path / "lineage.toml"
    contract.write_text(f'required = [["{RAW}", "s3://lake/rep*"]]\n[columns]\n"{REPORT}" = ["revenue"]\n')
    assert asking.check(contract) == 0
    contract.write_text(
        f'required = [["{REPORT}", "{RAW}"]]\nforbidden = [["s3://lake/r*", "{REPORT}"]]\n'
        f'[columns]\n"{REPORT}" = ["revenue", "email"]\n"x://no" = ["a"]\n'
    )
    capsys.readouterr()
    assert asking.check(contract, json=True) == 1
    assert [(one["kind"], one["what"]) for one in json.loads(capsys.readouterr().out)] == [
        ("missing path", f"{REPORT} -> {RAW}"),
        ("forbidden path", f"{RAW} -> {REPORT}"),
        ("lost column", f"{REPORT} email"),
        ("unknown asset", "x://no"),
    ]


@pytest.mark.parametrize("text", ["required = 3", "required = [", 'colums = {"a" = ["b"]}', 'required = [["a"]]'])
def test_a_file_that_is_no_contract_is_refused(flows_have_run, tmp_path, text):
    """A typing error must not pass as a contract that holds."""
    contract = tmp_path / "lineage.toml"
    contract.write_text(text)
    with pytest.raises(BadContract):
        asking.check(contract)


def test_moments_are_dates_or_spans():
    now = AT + 10 * 86_400_000_000
    assert moment("2026-01-01", now) == AT
    assert moment("2026-01-01T01:00+01:00", now) == AT
    assert moment("10d", now) == AT
    assert datetime.fromtimestamp(moment("2026-01-01T08:30", now) / 1e6, UTC).hour == 8
    with pytest.raises(BadMoment):
        moment("yesterdy", now)


def test_the_commands_are_typed_as_they_are_documented(flows_have_run, monkeypatch, capsys):
    """Through the command line: words, options and exit codes."""
    for words, code in (
        (f"lineage impact {RAW} --csv", 0),
        (f"lineage downstream {RAW} --steps 1 --mode latest --json", 0),
        (f"lineage path {REPORT} {RAW}", 1),
        (f"lineage upstream {RAW}x", 1),
    ):
        monkeypatch.setattr(sys, "argv", ["flowtell", *words.split()])
        assert main(words.split()) == code, words
    assert "Did you mean" in capsys.readouterr().err
