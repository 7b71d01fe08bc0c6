"""How a line becomes a row of the log and a row a line again: what is a column is not kept twice.

Our own writers put the fields that are columns first and in one order, so a line is packed by cutting its front off; a
line in another order, or with escapes in a name, is taken apart. Either way every field survives, known here or not.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from flowtell.events import Event, encode_value

COLUMNS: Final = ("type", "id", "time", "run", "task_run", "flow", "task")

_decode = msgspec.json.Decoder(dict[str, Any]).decode


def pack(line: bytes, event: Event) -> bytes:
    """The JSON of `line` without its columns."""
    front = _front(event.type, event.id, event.time, event.run, event.task_run, event.flow, event.task).encode()
    if line.startswith(front):
        rest = line[len(front) :]
        if rest[:1] == b",":
            return b"{" + rest[1:]
        if rest == b"}":
            return b"{}"
    return _pack_other(line)  # another order, spaces, or a name with escapes


def _pack_other(line: bytes) -> bytes:
    fields = _decode(line)
    for name in COLUMNS:
        fields.pop(name, None)
    return msgspec.json.encode(fields)


def _front(type: str, id: str, time: int, run: str, task_run: str, flow: str, task: str) -> str:  # noqa: PLR0917  # one a column
    if time and run and task_run and flow and task:  # nearly every line of a busy log; piece by piece costs twice as much
        return (
            f'{{"type":"{type}","id":"{id}","time":{time},"run":"{run}",'
            f'"task_run":"{task_run}","flow":"{flow}","task":"{task}"'
        )
    front = f'{{"type":"{type}","id":"{id}"'
    if time:
        front += f',"time":{time}'
    if run:
        front += f',"run":"{run}"'
    if task_run:
        front += f',"task_run":"{task_run}"'
    if flow:
        front += f',"flow":"{flow}"'
    if task:
        front += f',"task":"{task}"'
    return front


def unpack(  # noqa: PLR0917  # one a column
    type: str,
    id: str,
    time: int,
    run: str | None,
    task_run: str | None,
    flow: str | None,
    task: str | None,
    data: bytes,
) -> bytes:
    """The line again: `unpack(*columns, pack(line, event))` holds the same fields as `line`."""
    names = [_inside(text) for text in (type, id, run, task_run, flow, task)]
    kind, identifier, in_run, in_task_run, of_flow, of_task = names
    front = _front(kind, identifier, time, in_run, in_task_run, of_flow, of_task).encode()
    return front + b"}" if data == b"{}" else front + b"," + data[1:]


def _inside(text: str | None) -> str:
    """What stands between the quotes of a JSON string."""
    return encode_value(text)[1:-1].decode() if text else ""
