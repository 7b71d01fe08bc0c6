"""What the server elsewhere wants of deployments that are served here: brought into this home, and its words taken back.

Here a want is what it is where the server is, so that whoever serves knows of no difference; a word is told until the server
has it, and then forgotten.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from flowtell.config import Config
from flowtell.decoders import decoder
from flowtell.errors import ShippingError
from flowtell.shipping.sender import Sender
from flowtell.wanted_runs import PATH, Asking, Brought, Said, Wants

_EVERY: Final = 1.0
"""Seconds between two questions."""
_SILENT: Final = 5.0
"""The same after a server did not answer."""


class FarWants:
    """Asks on a thread of its own, from `start` to `close`. `names` gives the deployments that are served now."""

    def __init__(self, settings: Config, names: Callable[[], Iterable[str]]) -> None:
        self._home, self._environment = settings.home, str(settings["environment"])
        self._sender, self._names = Sender(settings["url"], settings["token"]), names
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flowtell-wants", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        wait = _EVERY
        while not self._closed.wait(wait):
            try:
                self.look()
                wait = _EVERY
            except (ShippingError, OSError):  # what is wanted stays there, and what was said stays here
                wait = _SILENT

    def look(self) -> None:
        """Ask once.

        Raises:
            ShippingError: no server has answered.
            OSError: the home takes no file.
        """
        names = tuple(self._names())
        said = tuple(one for name in names for one in self._said(name))
        body = msgspec.json.encode(Asking(environment=self._environment, deployments=names, said=said))
        brought = self._sender.exchange(PATH, body, decoder(Brought))
        for one in said:
            self._of(one.deployment).forget(one.run)
        for name, want in brought.wanted:
            if name in names:
                self._of(name).ask(want)

    def _of(self, name: str) -> Wants:
        return Wants(self._home, self._environment, name)

    def _said(self, name: str) -> Iterable[Said]:
        for run, word in self._of(name).words():
            yield Said(deployment=name, run=run, word=word)

    def close(self) -> None:
        self._closed.set()
        self._thread.join(2.0)
        self._sender.close()
