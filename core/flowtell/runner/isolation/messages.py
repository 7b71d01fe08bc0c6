"""What server and isolated plugin say to each other: one frame a message, msgpack, at most one call under way.

Server to plugin: `Make`, then `Open`, `Handle`, `Tick`, `Close`, and `Statuses` as an answer to `AskStatuses`. Plugin to
server, in answer to a call: `Made`, `Done`, `Failed` or `Refused`; before that, and between calls, any number of `Logged`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from flowtell.decoders import BUILDING
from flowtell.plugin import PluginStatus
from flowtell.runner.isolation import grammar as g
from flowtell.runner.isolation.values import value_of


class Message(Struct, frozen=True, tag_field="kind"):
    """One frame."""


# --- from the server ----------------------------------------------------------------------------------------------


class Make(Message, frozen=True, tag="make"):
    """Import the factory and call it."""

    target: str
    """`module:attribute`, as an entry point has it."""
    name: str
    settings: dict[str, Any]
    store: str
    """URL of the store, with what it needs to be opened."""
    home: str
    environment: str
    level: int
    """Of logging, below which nothing is sent."""


class Now(Struct, frozen=True, array_like=True):
    """What goes with each call."""

    live: bool
    time: int = 0
    """µs; 0 where the clock is the system's, which the plugin's process has itself."""
    read_until: int = 0


class Open(Message, frozen=True, tag="open"):
    now: Now


class Handle(Message, frozen=True, tag="handle"):
    now: Now
    events: bytes
    """One JSON array, as the events stand in the log."""


class Tick(Message, frozen=True, tag="tick"):
    now: Now
    time: int


class Close(Message, frozen=True, tag="close"):
    timeout: float


class Statuses(Message, frozen=True, tag="statuses"):
    plugins: tuple[PluginStatus, ...]


Request = Make | Open | Handle | Tick | Close | Statuses


# --- from the plugin ----------------------------------------------------------------------------------------------


class Made(Message, frozen=True, tag="made"):
    """What kind of plugin it is; `configured` is false where the factory gave none."""

    configured: bool = True
    wants: tuple[str, ...] = ()
    effects: bool = False
    api: int = 0
    tick_seconds: float = 1.0
    tables: tuple[g.TableMade, ...] | None = None


class Written(Struct, frozen=True, array_like=True):
    """One `context.write`: the statement is encoded by itself, so that the same one is built once."""

    statement: bytes
    rows: tuple[dict[str, Any], ...] = ()


class Emitted(Struct, frozen=True, array_like=True):
    """One `context.emit`."""

    event: bytes
    cause: str
    hops: int | None
    """The cause's; None where it was given by its id."""
    name: str


class Done(Message, frozen=True, tag="done"):
    """The call returned."""

    written: tuple[Written, ...] = ()
    emitted: tuple[Emitted, ...] = ()
    counted: dict[str, int] = {}
    tick_seconds: float = 1.0


class Failed(Message, frozen=True, tag="failed"):
    """The call raised."""

    type: str
    message: str
    traceback: str
    retry_after: float | None = None
    """Seconds, where it was `RetryLater`."""
    unwell: bool = False
    """Whether the store failed rather than the plugin."""
    counted: dict[str, int] = {}


class Refused(Message, frozen=True, tag="refused"):
    """It cannot be used, or not in a process of its own, and trying again does not help."""

    problem: str


class Logged(Message, frozen=True, tag="logged"):
    level: int
    message: str
    trace: str = ""


class AskStatuses(Message, frozen=True, tag="ask"):
    pass


Reply = Made | Done | Failed | Refused | Logged | AskStatuses

encode: Final = msgspec.msgpack.Encoder().encode
with BUILDING:
    decode_request: Final = msgspec.msgpack.Decoder(Request).decode
    decode_reply: Final = msgspec.msgpack.Decoder(Reply, ext_hook=value_of).decode
    decode_statement: Final = msgspec.msgpack.Decoder(g.Statement, ext_hook=value_of).decode
