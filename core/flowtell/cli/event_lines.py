"""One event as one line: for a person when, what and whose; for a program the whole of it."""

from __future__ import annotations

from typing import Any

import msgspec

from flowtell.cli import cells
from flowtell.cli.session import Session
from flowtell.events import LOG_FIELDS

_COMMON = frozenset(
    {"type", "id", "time", "run", "task_run", "flow", "task", "root_run", "environment", "source", "caused_by", "hops"}
) | frozenset(LOG_FIELDS)
_TYPE_WIDTH = 22
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def print_event(session: Session, line: bytes) -> None:
    """Print one line of the log, with what the log adds."""
    if session.json:
        print(line.decode())
        return
    fields = _decode(line)
    if session.rich:
        _print_shown(session, fields)
    else:
        common = (str(fields["seq"]), cells.moment(fields["time"]).plain, fields["type"])
        session.print_row((*common, fields.get("run", ""), _whose(fields), _rest(fields)))


def _print_shown(session: Session, fields: dict[str, Any]) -> None:
    from rich.text import Text

    text = Text.assemble(
        (f"{fields['seq']:>6}  {cells.moment(fields['time']).shown}  ", "dim"),
        (fields["type"].ljust(_TYPE_WIDTH), _style(fields)),
        f"  {_whose(fields)}  ",
        (_rest(fields), "dim"),
    )
    session.console.print(text, no_wrap=True, overflow="ellipsis")


def _style(fields: dict[str, Any]) -> str:
    ended = fields["type"].endswith("_run.finished")
    return cells.state(fields.get("state", "completed")).style if ended else "bold"


def _whose(fields: dict[str, Any]) -> str:
    return " ".join(part for part in (fields.get("flow", ""), fields.get("task", "")) if part)


def _rest(fields: dict[str, Any]) -> str:
    """The type's own fields, on one line."""
    own = {name: value for name, value in fields.items() if name not in _COMMON}
    if fields["type"].endswith(".finished"):
        own = {"state": "completed", **own}  # the default, which a line leaves out
    return " ".join(f"{name}={_value(value)}" for name, value in own.items())


def _value(value: Any) -> str:
    if isinstance(value, dict) and "message" in value:
        value = f"{value.get('type', '')}: {value.get('message', '')}"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return " ".join(text.split())
