"""What automations say: tables and `when(...)`, checked with their place; fields filled in and nothing evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowtell import flow, when
from flowtell.automations import automation_of, read_automations
from flowtell.automations.filling import fields_of, filled
from flowtell.automations.matching import fits, mismatch
from flowtell.errors import BadDeployment, BadValue, NoSuchField, UnknownKey
from flowtell.events import AssetMaterialized, FlowRunFinished, UserEvent
from flowtell.ids import new_id

GOOD = {"name": "a", "when": {"event": "orders.uploaded"}, "run": "load/main"}

UPLOADED = UserEvent(
    type="orders.uploaded", id=new_id(), time=1_700_000_000_000_000, flow="upload", environment="prod",
    resource={"id": "s3://orders/02"}, payload={"day": "2026-11-02", "rows": 3, "parts": [{"n": 1}, {"n": 2}]},
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"name": ""}, "automations.name"),
        ({"run": "load"}, "automations.run"),
        ({"when": {}}, "automations.when"),
        ({"when": {"event": "a.b", "absent": "a.c"}}, "automations.when"),
        ({"when": {"absent": "a.b"}}, "automations.when.within"),
        ({"when": {"event": "a.b", "within": "2h"}}, "automations.when.within"),
        ({"when": {"event": 3}}, "automations.when.event"),
        ({"cooldown": "soon"}, "automations.cooldown"),
        ({"max_hops": 13}, "automations.max_hops"),
        ({"max_hops": True}, "automations.max_hops"),
        ({"active": "yes"}, "automations.active"),
        ({"parameters": {"day": "{{ payload.day + 1 }}"}}, "automations.parameters"),
        ({"parameters": {"day": ["{{ __import__('os') }}"]}}, "automations.parameters"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place(change: dict[str, Any], key: str) -> None:
    with pytest.raises(BadValue) as caught:
        automation_of({**GOOD, **change}, "flowtell.toml:3")
    assert caught.value.key == key
    assert "flowtell.toml:3" in str(caught.value)


def test_an_unknown_key_has_the_closest_named() -> None:
    """In the table and in what it waits for."""
    with pytest.raises(UnknownKey, match="cooldown"):
        automation_of({**GOOD, "cool_down": "1m"}, "x")
    with pytest.raises(UnknownKey, match="resource"):
        automation_of({**GOOD, "when": {"event": "a.b", "resorce": "x"}}, "x")


def test_a_file_states_several_each_with_its_line(tmp_path: Path) -> None:
    """In order; a name twice is refused."""
    path = tmp_path / "flowtell.toml"
    one = '[[automations]]\nname = "{}"\nwhen = "a.b"\nrun = "load/main"\ncooldown = "5m"\n'
    path.write_text(one.format("x") + one.format("y"))
    found = read_automations(str(path))
    assert [(each.name, each.origin, each.cooldown) for each in found] == [("x", f"{path}:1", 300), ("y", f"{path}:6", 300)]
    assert found[0].when.event == ("a.b",)
    path.write_text(one.format("x") + one.format("x"))
    with pytest.raises(BadValue, match="is the name of the one at"):
        read_automations(str(path))


def test_in_code_it_is_the_same_table() -> None:
    """Checked where it is written; the deployment that it is given to is the one that it runs."""
    table = when("orders.*", resource=["s3://*", "!s3://tmp/*"], parameters={"day": "{{ payload.day }}"}, cooldown="1m")
    made = automation_of({"name": "n", "run": "load/main", **table}, "x")
    assert made.when.resource == ("s3://*", "!s3://tmp/*")
    assert made.cooldown == 60
    with pytest.raises(BadValue):
        when("a.b", within="2h")

    @flow
    def load(day: str) -> None: ...

    assert load.to_deployment("main", automations=[table]).automations == (table,)
    with pytest.raises(BadDeployment, match="two of its automations"):
        load.to_deployment("main", automations=[when("a.b", name="x"), when("a.c", name="x")])
    with pytest.raises(BadDeployment):  # a schedule brings no parameters
        load.to_deployment("main", cron="0 2 * * *")
    with pytest.raises(BadDeployment):
        load.to_deployment("main", parameters={"dya": "2026-11-02"})


@pytest.mark.parametrize(
    ("when", "why"),
    [
        ({"event": "orders.*"}, ""),
        ({"event": ["a.b", "orders.uploaded"], "flow": "up*", "environment": "prod"}, ""),
        ({"event": "*", "resource": "s3://orders/*"}, ""),
        ({"event": "orders.lost"}, "its type is orders.uploaded"),
        ({"event": "orders.*", "flow": "!upload"}, "its flow is upload, not !upload"),
        ({"event": "orders.*", "state": "failed"}, "its state is none, not failed"),
    ],
)
def test_an_event_fits_in_all_that_is_asked(when: dict[str, Any], why: str) -> None:
    assert mismatch(automation_of({**GOOD, "when": when}, "x").when, UPLOADED) == why


def test_state_and_asset_are_asked_for_too() -> None:
    """An asset is the resource of events about assets."""
    failed = automation_of({**GOOD, "when": {"event": "flow_run.finished", "state": ["failed", "crashed"]}}, "x").when
    assert mismatch(failed, FlowRunFinished(state="crashed")) == ""
    assert mismatch(failed, FlowRunFinished(state="completed")) != ""
    made = automation_of({**GOOD, "when": {"event": "asset.materialized", "resource": "s3://*"}}, "x").when
    assert mismatch(made, AssetMaterialized(asset="s3://lake/x")) == ""
    assert fits(["!a"], "b")
    assert not fits(["!a"], "a")


def test_fields_are_filled_in_with_their_types() -> None:
    """Alone as they are, within a text as text; moments as text that a flow's annotations convert."""
    template = {
        "day": "{{ payload.day }}", "rows": "{{payload.rows}}", "all": ["{{ payload.parts }}", 1],
        "words": "{{ payload.rows }} rows of {{ resource.id }}, part {{ payload.parts.1.n }}", "time": "{{ time }}",
        "plain": "{ payload.day }",
    }  # fmt: skip
    assert filled(template, fields_of(UPLOADED)) == {
        "day": "2026-11-02", "rows": 3, "all": [[{"n": 1}, {"n": 2}], 1],
        "words": "3 rows of s3://orders/02, part 2", "time": "2023-11-14T22:13:20+00:00", "plain": "{ payload.day }",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["payload.dya", "payload.day.upper", "payload.parts.9", "payload.__class__"])
def test_a_field_that_there_is_not_is_named_with_those_there_are(path: str) -> None:
    """No attribute of any object can be reached."""
    with pytest.raises(NoSuchField) as caught:
        filled(f"{{{{ {path} }}}}", fields_of(UPLOADED))
    assert caught.value.path == path
