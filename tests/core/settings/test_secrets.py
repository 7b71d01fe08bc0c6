"""Secrets: however their text gets into a log line, an error or an event, it does not get out of the process."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from flowtell import bus, secrets
from flowtell.events import Event, LogRecorded, UserEvent, encode
from flowtell.ids import new_id

Write = Callable[[str], Path]
Script = Callable[..., "subprocess.Popen[str]"]

PASSWORD = "p4ss\"wörd\\'with all/of+it"
FLOW = r"""
    from flowtell import Secret, Settings, emit_event, flow, get_run_logger, task
    from flowtell.artifacts import create_markdown_artifact

    class Warehouse(Settings):
        url: str
        password: Secret

    @task(persist_result=True)
    def leak_result(text):
        return [text]

    @task
    def fail(dsn, padding):
        raise ValueError(padding + dsn)

    @flow(log_prints=True, flow_run_name="of {dsn}")
    def leaky(dsn, settings):
        from urllib.parse import quote
        text = settings.password.get_secret_value()
        print("printed", text, repr(text), settings)
        get_run_logger().info("logged %s", quote(text, safe=""))
        get_run_logger().info("x" * 31_990 + text)
        emit_event("a.b", resource={"id": text}, payload={"key " + text: [text, {"deep": text}]})
        create_markdown_artifact(f"# {text}")
        leak_result(text)
        fail(text, "")

    @flow
    def cut(text):
        fail(text, "x" * 3_990)

    settings = Warehouse.load("main")
    text = settings.password.get_secret_value()
    for run in (lambda: leaky(text, settings), lambda: cut(text)):
        try:
            run()
        except ValueError as error:
            assert text in str(error)  # what code sees is not changed
"""


def test_no_event_holds_the_text_of_a_secret(
    write: Write, tmp_path: Path, home: Path, script: Script, journaled: Callable[[], list[Event]]
) -> None:
    """Parameters, run names, prints, logs, errors, tracebacks, payloads, artifacts, results; nor half of it."""
    (tmp_path / "password").write_text(PASSWORD, encoding="utf-8")
    (tmp_path / "password").chmod(0o600)
    write(f'[settings.warehouse.main]\nurl = "db"\npassword_file = "{tmp_path / "password"}"\n')
    process = script(FLOW)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    data = b"".join(path.read_bytes() for path in home.rglob("*") if path.is_file())
    for part in ("p4ss", "with all/of", "p4ss%22"):
        assert part.encode() not in data
    events = journaled()
    logs = [event.message for event in events if isinstance(event, LogRecorded)]
    assert f"printed {secrets.MASK} {secrets.MASK} " in next(line for line in logs if line.startswith("printed")).replace(
        "'", ""
    )
    assert f"logged {secrets.MASK}" in logs
    own = next(event for event in events if isinstance(event, UserEvent))
    assert own.payload == {f"key {secrets.MASK}": [secrets.MASK, {"deep": secrets.MASK}]}
    ends = [event for event in events if event.type == "flow_run.finished"]
    assert [event.state for event in ends] == ["failed", "failed"]  # type: ignore[attr-defined]
    assert ends[0].error.message == secrets.MASK  # type: ignore[attr-defined]
    assert "SecretNotKept" in errors  # the result was not kept, and that was told


def test_ids_and_names_stay_whole() -> None:
    """A secret that by chance stands in them, or is a word of ours, changes no event's meaning."""
    now = 1_700_000_000_000_000
    event = LogRecorded(
        id=new_id(now), time=now, run=new_id(now), flow="shop flow", message="shop, message and level", level="INFO"
    )
    secrets.hide(event.run[4:12])
    secrets.hide("shop")
    secrets.hide("message")
    line = secrets.hidden_line(encode(event))
    assert line == encode(event).replace(b'"shop, message and level"', b'"********, ******** and level"')


def test_an_attached_sink_gets_what_the_journal_got() -> None:
    """A plugin in the flow's process is somebody else's code, too."""
    got: list[Event] = []
    secrets.hide("hunter2-sink")
    bus.attach(got.append)
    try:
        bus.emit(UserEvent(type="a.b", id=new_id(), time=1, payload={"it": "hunter2-sink"}))
    finally:
        bus.detach(got.append)
    assert [event.payload for event in got if isinstance(event, UserEvent)] == [{"it": secrets.MASK}]


def test_nothing_is_on_the_way_before_the_first_secret() -> None:
    """The line is made by the function that makes it without this module."""
    secrets.forget()
    assert bus._line_of is encode
    secrets.hide("abc")  # shorter than what is sought
    assert bus._line_of is encode
    secrets.hide("hunter2-first")
    assert bus._line_of is not encode


@pytest.mark.parametrize("text", ["hunter2", "a'b\\c", "ünïcode", "two\nlines"])
def test_each_spelling_of_a_text_is_found(text: str) -> None:
    from urllib.parse import quote_plus

    secrets.hide(text)
    for spelled in (text, repr(text), quote_plus(text)):
        line = encode(LogRecorded(id=new_id(), time=1, message=f"<{spelled}>"))
        assert secrets.MASK.encode() in secrets.hidden_line(line)
