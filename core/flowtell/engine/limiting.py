"""Whether a run is under a limit: asked at each flow run and each run of a tagged task, so nothing is loaded to say no."""

from __future__ import annotations

import os
from _thread import allocate_lock  # what threading.Lock is, without loading threading
from collections.abc import Mapping
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Final

from flowtell import bus

if TYPE_CHECKING:
    from flowtell.config import Config
    from flowtell.engine.admission import Admission
    from flowtell.engine.runs import Run
    from flowtell.limits.desk import Desk

holding: ContextVar[tuple[str, ...]] = ContextVar("flowtell_holding", default=())
"""Tickets of the limits that are held around the code that asks, outermost first."""

_LOOK_EVERY: Final = 1.0
"""Seconds after which a limit that was stated meanwhile is known here."""
_STATED: Final = ("limits", "stated.json")


class _Known:
    """What this process knows of limits. A forked child, and a process with another home, begins anew."""

    def __init__(self) -> None:
        self.settings: Config | None = None
        self.limits: Mapping[str, int] = {}
        self.look_at = 0.0
        self._desk: Desk | None = None
        self._looking = allocate_lock()

    def fresh(self) -> Mapping[str, int]:
        """The stated limits, by name, looked at anew when it is time."""
        now = monotonic()
        if now >= self.look_at or self.settings is not bus.settings():
            with self._looking:
                self._look(now)
        return self.limits

    def desk(self) -> Desk:
        self.fresh()
        with self._looking:
            return self._desk_of(self.settings or bus.settings())

    def _look(self, now: float) -> None:
        if now < self.look_at and self.settings is bus.settings():  # another thread has
            return
        bus.open_journal_path()  # which reads the settings
        settings = bus.settings()
        if settings is not self.settings:
            self._desk = None
        stated = settings["url"] or settings.limits or os.path.exists(os.path.join(settings.home, *_STATED))
        # what other threads look at without the lock, last
        self.limits = self._desk_of(settings).limits() if stated else {}
        self.settings, self.look_at = settings, now + _LOOK_EVERY

    def _desk_of(self, settings: Config) -> Desk:
        if self._desk is None:
            from flowtell.engine.desks import desk_of

            self._desk = desk_of(settings)
        return self._desk

    def forked(self) -> None:
        self._looking = allocate_lock()
        self.look_at = 0.0
        if self._desk is not None:
            self._desk.forked()


_known: Final = _Known()
os.register_at_fork(after_in_child=_known.forked)


def admission_for(run: Run, flow: str, tags: tuple[str, ...], limit: int | None = None) -> Admission | None:
    """What lets the run in, where it is under a limit: its flow's, by `limit` or stated elsewhere, or one of its tags'."""
    stated = _known.fresh()
    if limit is None and not stated:
        return None
    wanted = _wanted(stated, flow, tags, limit)
    if not wanted:
        return None
    from flowtell.engine.admission import Admission

    return Admission(run, wanted)


def _wanted(stated: Mapping[str, int], flow: str, tags: tuple[str, ...], limit: int | None) -> dict[str, int | None]:
    wanted: dict[str, int | None] = {}
    if flow and (limit is not None or f"flow:{flow}" in stated):
        wanted[f"flow:{flow}"] = limit
    for tag in tags:
        if f"tag:{tag}" in stated:
            wanted[f"tag:{tag}"] = None
    return wanted


def desk() -> Desk:
    """Where this process asks."""
    return _known.desk()


def stated_limits() -> Mapping[str, int]:
    """The limits that are stated beside the code, by name."""
    return _known.fresh()
