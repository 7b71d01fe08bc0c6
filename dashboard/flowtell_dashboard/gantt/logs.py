"""The log lines of one run, by the thousand: the newest first, then all from the beginning, then what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flowtell.store.reading import last_logs, list_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowtell.store.reading import LogLine, Read

NEWEST: Final = 500
"""Lines of the first answer: a screen of them must be there at once."""

A_TIME: Final = 10_000
"""Lines of any other answer."""

_LONGEST: Final = 20_000
"""Characters of a message that are shown."""


def read_lines(read: Read, run: str, after: int | None) -> dict[str, Any]:
    """Lists of what is known of the lines, in log order.

    Args:
        after: `seq` of the line after which to begin; None for the newest lines.
    """
    lines = last_logs(read, run, NEWEST) if after is None else list_logs(read, run, after, A_TIME)
    return {"more": len(lines) == (NEWEST if after is None else A_TIME), **_columns(lines)}


def _columns(lines: Sequence[LogLine]) -> dict[str, Any]:
    return {
        "seq": [line.seq for line in lines],
        "time": [line.time for line in lines],
        "level": [line.level for line in lines],
        "task": [line.task for line in lines],
        "taskRun": [line.task_run for line in lines],
        "message": [line.message[:_LONGEST] for line in lines],
    }
