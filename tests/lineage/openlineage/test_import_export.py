"""Everything out into a file and into an empty store again, by the commands that people type."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("openlineage.client", reason="the extra flowtell-lineage[openlineage] is not installed")

from tests.lineage.openlineage.test_sending import night, rows_of

from flowtell.cli import main
from flowtell.cli.session import open_session
from flowtell_lineage.errors import WholeLogOnly


@pytest.fixture
def run(capsys, monkeypatch):
    def command(*arguments, home=None):
        if home is not None:
            monkeypatch.setenv("FLOWTELL_HOME", str(home))
        monkeypatch.setattr("sys.argv", ["flowtell", *arguments])
        code = 0
        try:
            code = main()
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        return code or 0, out, err

    return command


@pytest.fixture
def export(run, home, tmp_path):
    """A file with the whole night."""
    with pytest.raises(ValueError, match="no"):
        night()
    code, out, _ = run("lineage", "export", "--format", "openlineage")
    assert code == 0
    place = tmp_path / "events.jsonl"
    place.write_text(out)
    return place


def graph():
    with open_session() as session:
        return rows_of(session)


def test_an_empty_store_gets_the_same_graph_and_the_second_time_nothing(run, export, tmp_path):
    here = graph()
    code, out, _ = run("import", "openlineage", str(export), "--json", home=tmp_path / "other")
    events = len(export.read_text().splitlines())
    assert (code, json.loads(out)) == (0, {"files": 1, "events": events, "refused": []})
    assert graph() == here
    _, before, _ = run("events", "--json")
    run("import", "openlineage", str(export))
    _, after, _ = run("events", "--json")
    assert len(before.splitlines()) == len(after.splitlines()) > events


def test_the_store_that_it_came_from_gets_nothing(run, export):
    here = graph()
    _, before, _ = run("events", "--json")
    assert run("import", "openlineage", str(export))[0] == 0
    _, after, _ = run("events", "--json")
    dataset_events = [line for line in after.splitlines() if "asset.observed" in line and '"run"' not in line]
    assert len(after.splitlines()) - len(before.splitlines()) <= 2 * len(dataset_events)
    assert graph()[1:3] == here[1:3]


def test_a_folder_of_documents_arrays_and_what_is_none(run, export, tmp_path):
    lines = export.read_text().splitlines()
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.json").write_text(json.dumps(json.loads(lines[0]), indent=2))
    (folder / "deep" / "many.json").write_text(f"[{','.join(lines[1:5])}]")
    (folder / "torn.jsonl").write_text("\n".join([lines[5], "{torn", '{"eventTime": "never"}', lines[6]]))
    code, out, _ = run("import", "openlineage", str(folder), "--json", home=tmp_path / "other")
    told = json.loads(out)
    assert (code, told["files"], told["events"]) == (1, 3, 7)
    assert [line.rpartition("torn.jsonl")[2] for line in told["refused"]] == [
        ":2: is no JSON",
        ":3: $.eventTime: is no time of ISO 8601",
    ]


def test_what_is_not_there_is_said_without_a_traceback(run):
    code, _, err = run("import", "openlineage", "nowhere.jsonl")
    assert code == 2
    assert "nowhere.jsonl" in err
    assert "Traceback" not in err


def test_events_are_of_the_whole_log(export, run):
    code, _, err = run("lineage", "export", "s3://lake/raw.parquet", "--format", "openlineage")
    assert code != 0
    assert "FT2502" in err or WholeLogOnly().args[0] in err
