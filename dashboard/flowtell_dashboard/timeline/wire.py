"""A view as bytes: the length of a JSON head (4 bytes, little-endian), the head, and columns of numbers.

The columns follow in the order that `head.columns` names them, each `[name, type, count]` from an offset that is a
multiple of four; all little-endian. A browser makes typed arrays of them without looking at each number.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np

from flowtell_dashboard.timeline.blocks import STATES
from flowtell_dashboard.timeline.view import View

_TYPES: Final = {"uint8": "u1", "uint16": "u2", "uint32": "u4", "float32": "f4"}


def encode(view: View, seq: int, now: int) -> bytes:
    """The whole answer. Its head tells `seq` of the log and the server's `now`, in µs."""
    arrays = _arrays(view)
    head = msgspec.json.encode(_head(view, seq, now) | {"columns": [[n, a.dtype.name, a.size] for n, a in arrays.items()]})
    parts = [len(head).to_bytes(4, "little"), _padded(head)]
    parts += [_padded(array.astype(f"<{_TYPES[array.dtype.name]}").tobytes()) for array in arrays.values()]
    return b"".join(parts)


def _head(view: View, seq: int, now: int) -> dict[str, Any]:
    axis = view.axis
    return {
        "seq": seq,
        "now": now,
        "from": axis.begin,
        "to": axis.end,
        "width": axis.width,
        "knots": list(zip(axis.moments, axis.places, strict=True)),
        "states": STATES,
        "lanes": [[seen.lane.name, seen.lane.beside, seen.runs, seen.failed, seen.running] for seen in view.lanes],
        "lanesInAll": view.lanes_in_all,
        "shown": view.shown,
        "of": view.of,
        "failed": view.failed,
        "newest": view.newest,
        "since": view.since,
        "runs": view.ids,
        "marks": view.marks,
        "promises": view.promises,
    }


def _arrays(view: View) -> dict[str, Any]:
    bars, columns = view.bars, view.columns
    return {
        "barLeft": bars.left,
        "barRight": bars.right,
        "columnBegun": columns.begun,
        "columnFailed": columns.failed,
        "columnBusy": columns.busy,
        "columnBad": columns.bad,
        "barLane": bars.lane,
        "columnLane": columns.lane,
        "columnPlace": columns.place,
        "barSlot": bars.slot,
        "barSlots": bars.slots,
        "barState": view.states,
        "columnState": columns.state,
        "columnBadState": columns.bad_state,
    }


def _padded(part: bytes) -> bytes:
    return part + bytes(-len(part) % 4)


def decode(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Head and columns, as the browser reads them: for tests and scripts."""
    length = int.from_bytes(body[:4], "little")
    head = msgspec.json.decode(body[4 : 4 + length])
    at, arrays = 4 + length + -length % 4, {}
    for name, kind, count in head["columns"]:
        arrays[name] = np.frombuffer(body, f"<{_TYPES[kind]}", count, at)
        size = arrays[name].nbytes
        at += size + -size % 4
    return head, arrays
