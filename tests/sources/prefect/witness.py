"""A second listener at a Prefect server's websocket, which says what that server told and forgot.

It tells its subscribers of an event at once and keeps it in memory until twenty are together or five seconds are over
(`event_persister.create_handler` of 3.8.8): a kill in between loses it, unless its client sends it again. A client does so
for what it sent since its last ping was answered, which it sends each 30 s, or each 700 events (`PrefectEventsClient`).
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from flowtell.errors import SourceUnavailable
from flowtell_sources.prefect.documents import Message
from flowtell_sources.prefect.identity import moment
from flowtell_sources.prefect.settings import Settings
from flowtell_sources.prefect.socket import EventSocket

from . import truth

UNSTORED_SECONDS: Final = 6.0
"""From telling to having stored: the five seconds, and one for the write."""
_HEARD_LATE: Final = 1.0
"""Seconds that what was told may wait here, on a busy machine, before it is noted."""
_LOOKS_BACK: Final = 60_000_000


class Witness:
    """Listens on a thread of its own, through restarts of the server, until `close`."""

    def __init__(self, url: str) -> None:
        self._settings = Settings(api_url=url)
        self._heard: dict[str, tuple[float, Message]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                self._listen_once()
            except SourceUnavailable:
                self._over.wait(0.05)

    def _listen_once(self) -> None:
        connection = EventSocket(self._settings, time.time_ns() // 1000 - _LOOKS_BACK)
        try:
            while not self._over.is_set():
                for message in connection.receive(0.05):
                    self._heard.setdefault(message.id, (time.time(), message))
        finally:
            connection.close()

    def forgotten(self, server: Any, kills: list[float]) -> list[Message]:
        """What it told so shortly before a kill that it need not have been stored, and is not.

        Args:
            server: the one listened to.
            kills: when it was killed, in seconds since the epoch.
        """
        stored = {event["id"] for event in truth.all_events(server)}
        return [
            message
            for heard, message in list(self._heard.values())
            if message.id not in stored and any(-_HEARD_LATE <= kill - heard <= UNSTORED_SECONDS for kill in kills)
        ]

    def close(self) -> None:
        self._over.set()
        self._thread.join()


def without(here: dict[str, Any], forgotten: list[Message]) -> dict[str, Any]:
    """What the log has, but for what the server told and forgot."""
    assets = [(moment(each.occurred), each.subject, each.event.rpartition(".")[2]) for each in forgotten]
    own = [(moment(each.occurred),) for each in forgotten if each.event.startswith("acme.")]
    return {**here, "assets": _less(here["assets"], assets), "own events": _less(here["own events"], own)}


def _less(facts: list[Any], gone: list[Any]) -> list[Any]:
    return [fact for fact in facts if fact not in gone]
