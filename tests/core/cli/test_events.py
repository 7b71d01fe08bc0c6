"""`flowtell events`: the log as it is, and the schemas of what is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from flowtell.events import TYPES

SCRIPT = Path(sys.executable).with_name("flowtell")
SCHEMAS = Path(__file__).parents[3] / "docs" / "schemas"


def test_events_come_in_log_order_with_what_the_log_adds(flowtell, history):
    events = flowtell("events", "--json").json_lines
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "flow.declared"
    assert {event["type"] for event in events} >= {"flow_run.started", "task_run.finished", "log.recorded"}
    assert all(event["received"] and event["writer"] for event in events)


def test_the_newest_events_are_shown_unless_a_place_is_given(flowtell, history):
    seqs = [event["seq"] for event in flowtell("events", "--json").json_lines]
    assert [event["seq"] for event in flowtell("events", "--limit", "2", "--json").json_lines] == seqs[-2:]
    first_two = flowtell("events", "--after", "0", "--limit", "2", "--json").json_lines
    assert [event["seq"] for event in first_two] == seqs[:2]


def test_events_are_filtered_by_type(flowtell, history):
    ends = flowtell("events", "--type", "flow_run.finished", "--type", "task_run.finished").rows
    assert [row[2] for row in ends] == ["task_run.finished", "flow_run.finished", "flow_run.finished"]
    assert flowtell("events", "--type", "flow_run.finished", "--limit", "1").rows[0][4] == "broken"


def test_a_line_for_a_pipe_holds_the_types_own_fields(flowtell, history):
    seq, moment, kind, run, whose, rest = flowtell("events", "--type", "flow_run.finished").rows[-1]
    assert (kind, whose) == ("flow_run.finished", "broken")
    assert (len(run), moment[-1]) == (32, "Z")
    assert int(seq) > 0
    assert "state=failed error=ValueError: no rows" in rest


def test_a_terminal_gets_one_line_an_event(terminal, history):
    shown = terminal("events", columns=80)
    assert all(len(line) <= 80 for line in shown.plain.splitlines())
    assert "flow_run.finished" in shown.plain


def test_what_comes_is_followed(history, shell):
    process = subprocess.Popen([SCRIPT, "events", "--follow", "--json", "--limit", "1"], stdout=subprocess.PIPE, text=True)
    last = json.loads(process.stdout.readline())
    assert shell("exec", "--flow", "later", "--", "true").code == 0  # it takes over its process's signals
    come = [json.loads(process.stdout.readline()) for _ in range(3)]
    process.terminate()
    process.communicate()
    assert [event["type"] for event in come] == ["flow.declared", "flow_run.started", "flow_run.finished"]
    assert come[0]["seq"] == last["seq"] + 1


@pytest.mark.parametrize("kind", sorted(TYPES))
def test_every_type_has_a_schema(kind, flowtell):
    """The schema in the docs is the one that the structs have now."""
    schema = flowtell("events", "schema", kind).json
    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads((SCHEMAS / f"{kind}.json").read_text()) == schema, "run `make schemas`"


def test_real_events_fit_their_schema(flowtell, history):
    for event in flowtell("events", "--json").json_lines:
        jsonschema.validate(event, json.loads((SCHEMAS / f"{event['type']}.json").read_text()))


def test_no_schema_is_left_of_a_type_that_is_gone():
    assert {path.stem for path in SCHEMAS.glob("*.*.json")} - {"flowtell.toml"} == set(TYPES)
