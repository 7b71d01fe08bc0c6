"""Events into a stream of NATS JetStream, each acknowledged before the plugin's cursor moves past it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from flowtell.errors import BadValue, ExtraMissing
from flowtell.events import Event, encode
from flowtell.plugin import BasePlugin, Context, RetryLater
from flowtell.plugin_settings import settings

_PLACE: Final = "[plugin.nats]"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,200}")
_REST: Final = 2.0
_NOT_IN_A_TOKEN: Final = re.compile(r"[^A-Za-z0-9_-]")


class Settings(Struct, frozen=True):
    """The keys of `[plugin.nats]`."""

    servers: tuple[str, ...] = ()
    """Such as nats://127.0.0.1:4222; without one the plugin is off."""
    stream: str = "FLOWTELL"
    """Made if it is not there, with `subject`.> and a window of two minutes in which it knows an id again."""
    subject: str = "flowtell"
    """Before environment and type: flowtell.prod.flow_run.finished."""
    credentials: str = ""
    """File with a user's credentials."""
    timeout_seconds: float = 10.0
    """For a batch to be acknowledged."""


def create(config: Mapping[str, Any]) -> Nats | None:
    """The factory that the entry point `nats` names; None, which is off, while no server is configured.

    Raises:
        BadValue: a stream or subject that cannot be one.
        ExtraMissing: it is on, and nats-py is not installed.
    """
    found = settings(Settings, config, "nats")
    if not found.servers:
        return None
    if not _NAME.fullmatch(found.stream):
        raise BadValue("stream", _PLACE, f"{found.stream!r} is no name of a stream: letters, digits, - and _")
    if not all(_NAME.fullmatch(token) for token in found.subject.split(".")):
        raise BadValue("subject", _PLACE, f"{found.subject!r} is no subject: names divided by dots")
    try:
        import nats.js  # noqa: F401  # found out now, not at the first batch
    except ImportError as error:
        raise ExtraMissing("nats", str(error.name), "flowtell-exporters[nats]") from error
    return Nats(found)


class Nats(BasePlugin):
    """Publishes each event under its id, so that the stream takes one that comes again within its window only once.

    Anyone who reads the stream can go on where they were: its messages are numbered and kept as the stream says.
    """

    effects = True

    def __init__(self, found: Settings) -> None:
        self._settings = found

    def open(self, context: Context) -> None:
        from flowtell_exporters.nats_stream import Stream

        super().open(context)
        self._stream = Stream(
            self._settings.servers,
            self._settings.stream,
            f"{self._settings.subject}.>",
            credentials=self._settings.credentials,
            timeout=self._settings.timeout_seconds,
        )

    def handle(self, events: Sequence[Event]) -> None:
        """Raises `RetryLater` where one of them was not acknowledged; the stream knows those again that were."""
        messages = [(self._subject_of(event), encode(event), event.id) for event in events]
        problem = self._stream.publish(messages)
        if problem:
            raise RetryLater(_REST, f"the stream {self._settings.stream} did not take {len(messages)} events: {problem}")

    def _subject_of(self, event: Event) -> str:
        environment = _NOT_IN_A_TOKEN.sub("_", event.environment) or "_"
        kind = ".".join(_NOT_IN_A_TOKEN.sub("_", token) or "_" for token in event.type.split("."))
        return f"{self._settings.subject}.{environment}.{kind}"

    def close(self, timeout: float) -> None:
        self._stream.close(timeout)


__all__ = ["Nats", "create"]
