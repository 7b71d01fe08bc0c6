"""The channel `terminal`: one line on the server's stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TextIO

from msgspec import Struct

from flowtell.events import Receipt
from flowtell_alerts.channels import ANNOUNCED, BaseChannel, ChannelError, Rate
from flowtell_alerts.channels.settings import checked
from flowtell_alerts.message import Message

_COLOURS: Final = {"info": "36", "warning": "33", "error": "31", "critical": "1;31"}
_GREEN: Final = "32"
_MARKS: Final = {"resolved": "RESOLVED", "acknowledged": "ACKNOWLEDGED", "repeat": "STILL OPEN", "test": "TEST"}


class Keys(Struct, frozen=True):
    """What `[channel.NAME]` may say: nothing of its own."""


class Terminal(BaseChannel):
    """Coloured where the stream is a terminal and NO_COLOR is not set."""

    tells = ANNOUNCED | {"acknowledged"}

    def __init__(self, stream: TextIO | None = None, *, name: str = "terminal") -> None:
        self._stream, self.name = stream, name

    @property
    def rates(self) -> Sequence[Rate]:
        return (Rate(f"channel {self.name}", 0.1, burst=20),)

    def send(self, message: Message) -> Receipt:
        stream = self._stream or sys.stderr  # looked up late, as whoever serves may have replaced it
        try:
            stream.write(line_of(message, colour=_takes_colour(stream)) + "\n")
            stream.flush()
        except (OSError, ValueError) as error:
            problem = f"stderr cannot be written ({type(error).__name__})"
            raise ChannelError(self.name, problem, permanent=True) from None
        return Receipt()


def create(name: str, settings: Mapping[str, Any]) -> Terminal:
    """The factory that the entry point names. There are no keys."""
    checked(name, settings, Keys)
    return Terminal(name=name)


def line_of(message: Message, *, colour: bool = False) -> str:
    """Such as `ALERT error nightly (production): the last run failed (KeyError), since 02:13:05, run 0192…`."""
    incident = message.incident
    mark = _MARKS.get(message.kind, "ALERT")
    if message.open and message.kind not in ("test", "acknowledged"):
        mark = f"{mark} {incident.severity}"
    if colour:
        mark = f"\x1b[{_COLOURS.get(incident.severity, '31') if message.open else _GREEN}m{mark}\x1b[0m"
    place = f" ({incident.environment})" if incident.environment else ""
    return f"{mark} {incident.subject.name}{place}: {incident.reason}{_tail(message)}"


def _tail(message: Message) -> str:
    incident = message.incident
    parts = [f"since {_time_of_day(incident.since)}"]
    if message.url:
        parts.append(message.url)
    elif incident.runs:
        parts.append(f"run {incident.runs[-1]}")
    if message.kind == "acknowledged" and message.acknowledged_by:
        parts.append(f"by {message.acknowledged_by}")
    if incident.runbook and message.kind == "opened":
        parts.append(incident.runbook)
    return "".join(f", {part}" for part in parts)


def _time_of_day(moment: int) -> str:
    try:
        return f"{datetime.fromtimestamp(moment / 1e6).astimezone():%Y-%m-%d %H:%M:%S}"
    except (OverflowError, ValueError, OSError):  # a moment that no calendar has
        return "an unknown time"


def _takes_colour(stream: TextIO) -> bool:
    return not os.environ.get("NO_COLOR") and stream.isatty()
