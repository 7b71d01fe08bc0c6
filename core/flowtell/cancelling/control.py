"""How another process of this machine is asked something: by a line in a file beside its journal.

That the file is there says that somebody listens; see `flowtell.engine.control`.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from flowtell.journal import SUFFIX

CONTROL: Final = ".control"


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the file. An action that a reader does not know is passed over."""

    action: str
    run: str
    actor: str = ""
    reason: str = ""


def control_path(journal: str) -> str:
    return journal.removesuffix(SUFFIX) + CONTROL


def ask(journal: str, request: Request) -> bool:
    """Write the request to the process of that journal; False where nobody listens there."""
    try:
        fd = os.open(control_path(journal), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        os.write(fd, msgspec.json.encode(request) + b"\n")
    finally:
        os.close(fd)
    return True


def forget(journal: str) -> None:
    """Remove the file of a process that was killed."""
    try:
        os.unlink(control_path(journal))
    except OSError:
        pass
