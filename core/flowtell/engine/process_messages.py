"""What a flow's process and one of its worker processes say to each other, over a pair of sockets."""

from __future__ import annotations

from typing import Final, NamedTuple

from flowtell.engine.crossing import Package

EVENT: Final = b"e"
"""Before a line that the worker has emitted, and has written into the journal unless it was told none."""
REPLY: Final = b"r"
"""Before the pickled reply."""


class Order(NamedTuple):
    """One call to be made."""

    package: Package
    journal: str
    """Where the worker's events go; empty where they are to be sent back, as the journal is in memory."""
    send_all: bool
    """Whether each event is sent back too, since somebody listens; else only those of runs inside the body."""
