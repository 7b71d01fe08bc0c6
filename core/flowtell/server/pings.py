"""What one check-in says: the query and body of a request, bounded and checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple, cast, get_args

from flowtell.errors import BadPing, BadSchedule
from flowtell.events import Schedule
from flowtell.schedules import cron, every, microseconds

What = Literal["start", "success", "fail"]

WHATS: Final[tuple[str, ...]] = get_args(What)
LONGEST_NAME: Final = 200
"""Letters of a name or id."""
KEPT_BYTES: Final = 16_384
"""Of a body, its end: the last words of a log say what went wrong."""
_PARAMETERS: Final = ("run", "deployment", "environment", "due", "exit", "id", "cron", "every", "tz", "grace")
_HIGHEST_EXIT: Final = 255


class Ping(NamedTuple):
    """One check-in."""

    flow: str
    what: What
    run: str = ""
    """The client's own name for its run; empty where it has none."""
    deployment: str = ""
    environment: str = ""
    due: int | None = None
    exit: int | None = None
    id: str = ""
    """The client's own id of this very check-in: sent twice, it counts once."""
    schedule: Schedule | None = None
    text: str = ""

    @property
    def fails(self) -> bool:
        """Whether it says that the run ended badly."""
        return self.what == "fail" or bool(self.exit)


def read_ping(flow: str, what: str, query: Mapping[str, str], body: bytes = b"") -> Ping:
    """The check-in that a request makes.

    Raises:
        BadPing: a parameter that there is not, or whose value cannot be used; it says which.
    """
    for name in query:
        if name not in _PARAMETERS:
            raise BadPing(f"there is no parameter '{name[:40]}'; there are {', '.join(_PARAMETERS)}")
    if what not in WHATS:
        raise BadPing(f"'{what[:40]}' is none of {', '.join(WHATS)}")
    names = {name: _name(name, query.get(name, "")) for name in ("run", "deployment", "environment", "id")}
    return Ping(
        flow=_name("flow", flow),
        what=cast("What", what),
        due=_moment(query.get("due", "")),
        exit=_exit(query.get("exit", ""), what),
        schedule=_schedule(query),
        text=body[-KEPT_BYTES:].decode("utf-8", "replace").strip(),
        **names,
    )


def _name(parameter: str, text: str) -> str:
    if len(text) > LONGEST_NAME or not text.isprintable():
        raise BadPing(f"{parameter} is at most {LONGEST_NAME} printable letters")
    return text


def _exit(text: str, what: str) -> int | None:
    if not text:
        return None
    if what == "start":
        raise BadPing("a start has no exit code")
    if not text.isascii() or not text.isdigit() or int(text[:4]) > _HIGHEST_EXIT:
        raise BadPing(f"exit is a number from 0 to {_HIGHEST_EXIT}")
    return int(text)


def _moment(text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 11:
        return int(text) * 1_000_000
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return microseconds(moment)
    except ValueError:
        pass
    raise BadPing("due is a time with its zone, as 2026-11-25T02:00:00Z, or whole seconds since 1970")


def _schedule(query: Mapping[str, str]) -> Schedule | None:
    line, interval = query.get("cron", ""), query.get("every", "")
    if line and interval:
        raise BadPing("a check-in names cron or every, not both")
    if not line and not interval:
        if query.get("tz") or query.get("grace"):
            raise BadPing("tz and grace say more of a schedule: name cron or every too")
        return None
    try:
        grace = query.get("grace") or None
        return every(interval, grace=grace) if interval else cron(line, query.get("tz") or "UTC", grace=grace)
    except BadSchedule as error:
        raise BadPing(str(error).rstrip(".")) from error
