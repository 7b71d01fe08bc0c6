"""Which runs a page shows, as its address says: every filter is in the URL, so that a view is a link."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qs, urlencode

import msgspec

from flowtell.store.reading import Place
from flowtell_dashboard.states import LOOKS

_HOUR: Final = 3_600_000_000

WINDOWS: Final[dict[str, tuple[str, int | None]]] = {
    "1h": ("Last hour", _HOUR),
    "24h": ("Last 24 hours", 24 * _HOUR),
    "7d": ("Last 7 days", 7 * 24 * _HOUR),
    "30d": ("Last 30 days", 30 * 24 * _HOUR),
    "any": ("Any time", None),
}
"""What `since` may be in the URL: its words and its length in µs."""

DEFAULT_WINDOW: Final = "30d"
LONGEST: Final = 200
"""Characters of one value in the URL; what is longer was not made by these pages."""


class RunFilter(msgspec.Struct, frozen=True):
    """The filters of the list of runs. An empty one lets every run through."""

    state: tuple[str, ...] = ()
    flow: str = ""
    environment: str = ""
    text: str = ""
    since: str = DEFAULT_WINDOW
    before: str = ""
    """The `place` of the last run of the page before this one, as `started.id`."""

    @classmethod
    def of(cls, search: str | None) -> RunFilter:
        """What the part of a URL after `?` says; what makes no sense there counts as not said."""
        given = {key: values[-1][:LONGEST] for key, values in _query(search).items()}
        since = given.get("since", "")
        return cls(
            state=tuple(state for state in given.get("state", "").split(",") if state in LOOKS),
            flow=given.get("flow", ""),
            environment=given.get("environment", ""),
            text=given.get("text", ""),
            since=since if since in WINDOWS else DEFAULT_WINDOW,
            before=given.get("before", ""),
        )

    @property
    def narrows(self) -> bool:
        """Whether it is more than a window of time."""
        return bool(self.state or self.flow or self.environment or self.text)

    @property
    def place(self) -> Place | None:
        """Where the page begins, for `list_runs`."""
        started, dot, run = self.before.partition(".")
        if not dot or not (started.isdecimal() or not started):
            return None
        return (int(started) if started else None), run

    def begins(self, now: int) -> int | None:
        """The earliest start that it lets through, in µs."""
        length = WINDOWS[self.since][1]
        return None if length is None else now - length

    def link(self) -> str:
        """The address of the list with these filters."""
        given = msgspec.structs.asdict(self) | {"state": ",".join(self.state)}
        said = {key: value for key, value in given.items() if value and (key, value) != ("since", DEFAULT_WINDOW)}
        return f"/?{urlencode(said, safe=',')}" if said else "/"

    def after(self, place: Place) -> RunFilter:
        """The same filters, from the run that comes after `place`."""
        started, run = place
        return msgspec.structs.replace(self, before=f"{'' if started is None else started}.{run}")

    def newest(self) -> RunFilter:
        """The same filters, from the newest run."""
        return msgspec.structs.replace(self, before="")


def _query(search: str | None) -> dict[str, list[str]]:
    try:
        return parse_qs((search or "").removeprefix("?"), max_num_fields=20)
    except ValueError:
        return {}
