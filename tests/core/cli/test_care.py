"""`doctor`, `config`, `db`, `plugins` and `up`: what looks after an installation."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.request import urlopen

import jsonschema
import pytest

from flowtell.config import SETTINGS
from flowtell.server.role import IngestRole

SCRIPT = Path(sys.executable).with_name("flowtell")


def verdicts(outcome) -> dict[str, str]:
    return {check["name"]: check["verdict"] for check in outcome.json}


# --- doctor -------------------------------------------------------------------------------------------------------


def test_a_fresh_home_has_nothing_wrong(flowtell):
    """That no server runs is a warning, and a warning is no failure."""
    outcome = flowtell("doctor", "--json")
    assert outcome.code == 0
    assert set(verdicts(outcome).values()) <= {"ok", "warn"}
    server = next(check for check in outcome.json if check["name"] == "server")
    assert (server["verdict"], server["mend"]) == ("warn", "flowtell up")


def test_every_check_is_one_line_for_a_pipe(flowtell, history):
    outcome = flowtell("doctor")
    assert all(len(row) == 4 for row in outcome.rows)
    assert [row[0] for row in outcome.rows][:3] == ["python", "configuration", "home"]


def test_a_terminal_shows_what_mends_it(terminal):
    shown = terminal("doctor", columns=70)
    assert "▲ server" in shown.plain
    assert "→ flowtell up" in shown.plain
    assert all(len(line) <= 70 for line in shown.plain.splitlines())


def test_a_misspelt_variable_is_found(flowtell, monkeypatch):
    monkeypatch.setenv("FLOWTELL_SEVER__PORT", "1")
    outcome = flowtell("doctor", "--json")
    assert outcome.code == 1
    assert verdicts(outcome)["configuration"] == "fail"
    assert "Did you mean 'server.port'?" in outcome.out


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_cannot_be_written_fails(flowtell, home):
    home.chmod(0o500)
    outcome = flowtell("doctor", "--json")
    home.chmod(0o700)
    assert (outcome.code, verdicts(outcome)["home"]) == (1, "fail")


def test_a_home_that_is_a_file_fails(flowtell, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FLOWTELL_HOME", str(tmp_path / "file"))
    outcome = flowtell("doctor", "--json")
    assert (outcome.code, verdicts(outcome)["home"]) == (1, "fail")
    assert "Traceback" not in outcome.err


def test_a_home_on_a_network_fails(flowtell, monkeypatch):
    monkeypatch.setattr("flowtell.cli.checks._file_system_of", lambda path: "nfs4")
    assert verdicts(flowtell("doctor", "--json"))["file system"] == "fail"


def test_a_taken_port_is_found(flowtell, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("FLOWTELL_SERVER__PORT", str(taken.getsockname()[1]))
        server = next(check for check in flowtell("doctor", "--json").json if check["name"] == "server")
    assert server["mend"] == "flowtell up --port 0"


# --- config -------------------------------------------------------------------------------------------------------


def test_every_setting_is_shown(flowtell):
    shown = flowtell("config", "show").rows
    assert [row[0] for row in shown] == [setting.key for setting in SETTINGS]
    assert ["server.port", "4727", "Port of the server; 0 takes a free one."] in shown


def test_each_value_tells_where_it_comes_from(flowtell, tmp_path, monkeypatch):
    (tmp_path / "flowtell.toml").write_text("[server]\nport = 1234\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLOWTELL_SERVER__HOST", "::1")
    settings = flowtell("config", "show", "--sources", "--json").json
    assert settings["server.port"] == {"value": 1234, "source": str(tmp_path / "flowtell.toml")}
    assert settings["server.host"] == {"value": "::1", "source": "environment variable FLOWTELL_SERVER__HOST"}
    assert settings["environment"]["source"] == "default"


def test_a_secret_is_never_shown(flowtell, monkeypatch):
    monkeypatch.setenv("FLOWTELL_SERVER__TOKEN", "hunter2")
    for words in ((), ("--sources",), ("--json",), ("--schema",)):
        assert "hunter2" not in flowtell("config", "show", *words).out


def test_the_schema_takes_what_the_configuration_takes(flowtell):
    schema = flowtell("config", "show", "--schema").json
    jsonschema.Draft202012Validator.check_schema(schema)
    good = tomllib.loads(
        'home = "/x"\n[server]\nport = 1\n[plugins]\nenable = ["a"]\n[plugin.a]\nanything = 1\nisolate = "process"\n'
    )
    jsonschema.validate(good, schema)
    jsonschema.validate({"channel": {"ops": {"type": "slack"}}, "limits": {"tag": {"database": 3}}}, schema)
    wrong_keys_of_plugins = [{"isolate": "thread"}, {"isolate_nice": 20}, {"isolate_memory_mb": -1}, {"values": "yes"}]
    for bad in (
        {"hoem": "/x"},
        {"server": {"port": "1"}},
        {"server": {"prot": 1}},
        {"limits": {"tags": {"database": 3}}},
        *({"plugin": {"a": keys}} for keys in wrong_keys_of_plugins),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(bad, schema)


def test_the_schema_in_the_docs_is_that_of_today(flowtell):
    """`make schemas` writes it."""
    kept = Path(__file__).parents[3] / "docs/schemas/flowtell.toml.json"
    assert json.loads(kept.read_bytes()) == flowtell("config", "show", "--schema").json


# --- the store, plugins and the server ----------------------------------------------------------------------------


def test_stats_count_what_the_store_holds(flowtell, history):
    found = flowtell("db", "stats", "--json").json
    assert found["stats"]["tables"]["runs"]["rows"] == 2
    assert found["stats"]["head"] == found["stats"]["tables"]["events"]["rows"]
    assert found["sizes"]["store"] > 0
    facts = dict(flowtell("db", "stats").rows)
    assert facts["runs"] == "2"


def test_pruning_deletes_what_is_old_and_can_be_tried_first(flowtell, history, monkeypatch):
    flowtell("runs")
    monkeypatch.setenv("FLOWTELL_RETENTION__RUNS_DAYS", "0")
    tried = flowtell("db", "prune", "--dry-run", "--json").json
    assert (tried["dry_run"], tried["rows"]["runs"]) == (True, 2)
    assert len(flowtell("runs").rows) == 2
    assert dict(flowtell("db", "prune").rows)["runs"] == "2"
    assert flowtell("runs").rows == []


def test_plugins_are_listed_with_their_state(flowtell, monkeypatch):
    monkeypatch.setenv("FLOWTELL_PLUGINS__DISABLE", "prometheus")
    states = {plugin["name"]: plugin["enabled"] for plugin in flowtell("plugins", "list", "--json").json}
    assert states["prometheus"] is False
    monkeypatch.setenv("FLOWTELL_PLUGIN__LINEAGE__KEPP_DAYS", "3")
    shown = {row[0]: row[1] for row in flowtell("plugins", "list").rows}
    assert shown["prometheus"] == "off"
    assert shown["jsonlines"] == "not configured"
    assert shown["lineage"] == "refused"
    assert shown["alerts"] == "on"


def test_a_port_in_use_is_told_with_a_code(flowtell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = flowtell("up", "--port", str(taken.getsockname()[1]))
    assert outcome.code == 1
    assert outcome.err.startswith("Error FT1401: Port ")
    assert outcome.err.count("\n") == 1


def test_a_second_server_on_one_home_is_refused(flowtell, home):
    role = IngestRole(str(home))
    assert role.take()
    try:
        outcome = flowtell("up", "--port", "0")
    finally:
        role.release()
    assert (outcome.code, outcome.err.split(":")[0]) == (1, "Error FT1402")


def test_an_open_address_needs_a_token(flowtell):
    assert flowtell("up", "--host", "0.0.0.0", "--port", "0").err.startswith("Error FT1405: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_asked_to_stop_ends_well(number, signals_as_in_a_shell, home):
    """Its address is data, on stdout; once it has stopped, another may take the home."""
    process = subprocess.Popen([SCRIPT, "up", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    name, url = process.stdout.readline().rstrip().split("\t")
    with urlopen(f"{url}/healthz") as answer:
        assert (name, answer.status) == ("address", 200)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "Ctrl-C stops it.\nStopped.\n")
    role = IngestRole(str(home))
    assert role.take()
    role.release()
