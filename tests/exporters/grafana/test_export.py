"""What is exported names nothing that there is not, and is what Grafana, Prometheus and its operator read."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowtell.errors import ExportFailed
from flowtell_exporters.families import FAMILIES
from flowtell_exporters.grafana.commands import export
from flowtell_exporters.grafana.files import DASHBOARDS, Places, files
from flowtell_exporters.grafana.rules import Thresholds, groups
from flowtell_exporters.grafana.yaml_text import yaml_text

_spec = importlib.util.spec_from_file_location("promql", Path(__file__).parent / "promql.py")
promql = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(promql)

LABELS = {name: family.labels for family in FAMILIES for name in family.series}
UNKNOWN = "http://flowtell.example"


def documents():
    return [dashboard.document(UNKNOWN) for dashboard in DASHBOARDS]


def panels(document):
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def expressions():
    """Every expression of what is exported, with where it stands."""
    for document in documents():
        for panel in panels(document):
            yield from [(f"{document['uid']}: {panel['title']}", target["expr"]) for target in panel["targets"]]
        for variable in document["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{document['uid']}: ${variable['name']}", variable["definition"]
        yield from [(f"{document['uid']}: {mark['name']}", mark["expr"]) for mark in document["annotations"]["list"]]
    for rule in (rule for group in groups(Thresholds()) for rule in group["rules"]):
        yield rule["alert"], rule["expr"]


def test_every_metric_and_label_that_is_named_exists():
    faults = [f"{where}: {fault}" for where, expr in expressions() for fault in promql.faults(expr, LABELS)]
    assert faults == []


@pytest.mark.parametrize(
    "wrong",
    [
        "flowtell_flow_run_total",
        'flowtell_flow_runs_total{status="failed"}',
        "sum by (pipeline) (flowtell_flow_runs_total)",
        "flowtell_measure * on (flow) group_left (team) flowtell_flow_info",
        "flowtell_flow_run_duration_seconds",
    ],
)
def test_the_check_finds_what_does_not_exist(wrong):
    assert promql.faults(wrong, LABELS)


def test_every_family_is_drawn_or_alarmed_on():
    """What nobody looks at need not be scraped."""
    named = {selector.metric for _, expr in expressions() for selector in promql.selectors(expr)}
    assert [family.name for family in FAMILIES if not named & set(family.series)] == []


def test_dashboards_have_addresses_that_stay():
    """Whoever imports them again replaces them; other people's links hold."""
    assert [document["uid"] for document in documents()] == [
        "flowtell-overview",
        "flowtell-flow",
        "flowtell-prefect",
        "flowtell-assets",
        "flowtell-alerts",
        "flowtell-itself",
    ]


@pytest.mark.parametrize("document", documents(), ids=lambda document: document["uid"])
def test_a_dashboard_is_well_made(document):
    """Panels do not overlap and say what they show; ids are theirs alone; variables that are used are there."""
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
        assert place["x"] + place["w"] <= 24
    assert all(panel["description"] and panel["targets"] for panel in panels(document))
    builtin = {"__rate_interval", "__range", "__interval", "__all", "__value", "__data", "__field"}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(document)))
    assert used - builtin <= {variable["name"] for variable in document["templating"]["list"]}
    assert {"environment", "datasource"} <= {variable["name"] for variable in document["templating"]["list"]}
    assert 36 <= document["schemaVersion"] <= 41


def test_values_lead_to_the_runs():
    """From a flow's row or line to its runs; the address is the one that was given."""
    overview, flow = documents()[:2]
    links = [
        link["url"]
        for panel in panels(overview) + panels(flow)
        for link in panel["fieldConfig"]["defaults"].get("links", ())
    ]
    assert "${flowtell}/?flow=${__data.fields.flow}" in links
    assert "${flowtell}/?flow=${__field.labels.flow}" in links
    (constant,) = [each for each in overview["templating"]["list"] if each["name"] == "flowtell"]
    assert constant["query"] == UNKNOWN


def test_exemplars_lead_to_the_run_and_to_its_trace():
    """In Grafana's files a dollar that is not the environment's is doubled."""
    text = files(Places(flowtell=UNKNOWN, traces="tempo"), Thresholds())["provisioning/datasources/flowtell.yml"]
    assert f'url: "{UNKNOWN}/runs/$${{__value.raw}}"' in text
    assert "datasourceUid: tempo" in text
    assert all(
        target["exemplar"]
        for panel in panels(documents()[1])
        if panel["type"] == "timeseries"
        for target in panel["targets"]
    )


def test_yaml_is_read_as_what_it_was_made_of():
    """By PyYAML, where it is installed."""
    yaml = pytest.importorskip("yaml")
    odd = {
        "a": [1, 2.5, True, None, "true", "no", "1", "", " x", "#", "- a", "a: b", "{{ $labels.flow }}", "é\u2028", "~"],
        "text": "two\n  lines\nand three",
        "with end": "a\n\nb\n",
        "empty": {"m": {}, "l": []},
        "nested": [{"a": {"b": [{"c": "d"}]}}, {"e": ["f"]}],
    }
    assert yaml.safe_load(yaml_text(odd, "a\nheading")) == odd
    for name, text in files(Places(), Thresholds()).items():
        assert (json.loads if name.endswith("json") else yaml.safe_load)(text)


def test_the_rules_in_kubernetes_are_the_same():
    made = files(Places(), Thresholds())
    plain = made["prometheus/flowtell.rules.yml"].partition("groups:\n")[2].splitlines()
    nested = made["kubernetes/prometheusrule.yml"].partition("  groups:\n")[2].splitlines()
    assert [line.strip() for line in nested] == [line.strip() for line in plain]


# --- the command --------------------------------------------------------------------------------------------------


def test_the_command_writes_every_file_anew(tmp_path, capsys):
    """And leaves what else lies there."""
    mine = tmp_path / "out" / "dashboards" / "mine.json"
    mine.parent.mkdir(parents=True)
    mine.write_text("{}")
    for _ in range(2):
        export(str(tmp_path / "out"), flowtell_url="https://flowtell.example/", late_minutes=7)
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written == {*files(Places(), Thresholds()), "dashboards/mine.json"}
    assert len(capsys.readouterr().out.splitlines()) == 2 * (len(written) - 1)
    assert "> 420" in (tmp_path / "out" / "prometheus" / "flowtell.rules.yml").read_text()
    assert "https://flowtell.example/runs" in (tmp_path / "out/provisioning/datasources/flowtell.yml").read_text()


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportFailed, match=r"file/dashboards/flowtell-overview\.json cannot be written"):
        export(str(tmp_path / "file"))


def test_it_is_a_command_of_flowtell(tmp_path):
    code = "import sys; from flowtell.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "grafana", "export", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(json.loads(done.stdout)["files"]) == len(files(Places(), Thresholds()))


# --- Prometheus's own judgement -----------------------------------------------------------------------------------


@pytest.fixture
def promtool(tmp_path):
    """`promtool` in a folder with what is exported; the folder of the tests is read from there too."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    for name, text in files(Places(), Thresholds()).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(*words):
        done = subprocess.run([found, *words], cwd=tmp_path / "prometheus", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_promtool_takes_the_rules_and_the_configuration(promtool):
    assert f"{sum(len(group['rules']) for group in groups(Thresholds()))} rules found" in promtool(
        "check", "rules", "flowtell.rules.yml"
    )
    promtool("check", "config", "prometheus.yml")


@pytest.mark.parametrize("name", ["rules.test.yml", "rules_over_days.test.yml"])
def test_the_rules_fire_when_they_should(promtool, tmp_path, name):
    """By its own unit tests: series in, alarms out."""
    shutil.copy(Path(__file__).parent / name, tmp_path / "prometheus" / name)
    assert "SUCCESS" in promtool("test", "rules", name)


def test_every_rule_has_a_unit_test():
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("*.test.yml"))
    names = [rule["alert"] for group in groups(Thresholds()) for rule in group["rules"]]
    assert [name for name in names if f"alertname: {name}\n" not in tests] == []
