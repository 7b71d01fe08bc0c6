"""Every event as a line of a file, for whoever reads lines: `jq`, a log shipper, a notebook."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from flowtell.events import Event, encode
from flowtell.plugin import BasePlugin, RetryLater
from flowtell.plugin_settings import settings


class Settings(Struct, frozen=True):
    """The keys of `[plugin.jsonlines]`."""

    path: str = ""
    """File to append to; without it the plugin is off."""


class JsonLines(BasePlugin):
    """Appends each event as one JSON line. A crash may leave its last batch there twice: tell lines apart by `id`."""

    effects = True

    def __init__(self, path: str) -> None:
        self.path = path

    def handle(self, events: Sequence[Event]) -> None:
        lines = b"".join(encode(event) + b"\n" for event in events)
        try:
            with open(self.path, "ab") as file:  # anew for each batch: a file that was moved away is not followed
                file.write(b"\n" + lines if _is_cut(self.path) else lines)
        except OSError as error:
            raise RetryLater(5, str(error)) from error


def _is_cut(path: str) -> bool:
    """Whether a crash or a full disk cut the file's last line."""
    with open(path, "rb") as file:
        if not file.seekable() or file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


def create(config: Mapping[str, Any]) -> JsonLines | None:
    """The factory that the entry point `jsonlines` names; None, which is off, while no `path` is configured."""
    path = settings(Settings, config, "jsonlines").path
    return JsonLines(os.path.expanduser(path)) if path else None
