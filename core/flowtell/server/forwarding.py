"""A standby brings what lies in its home to the server that leads: it is an agent of its own machine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from flowtell.config import Config
from flowtell.errors import ShippingError
from flowtell.server.agent import Agent

_LOOK_SECONDS: Final = 1.0

logger = logging.getLogger("flowtell.server")


class Forwarding:
    """Follows who leads, and ships there: this home's journals, whose writers it sees, and what others shipped to it before.

    Args:
        leader: gives the address of the server that leads; empty where none does, or where it is not known.
    """

    def __init__(self, config: Config, leader: Callable[[], str]) -> None:
        self._config, self._leader = config, leader
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flowtell-forwarding", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> None:
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        url, agents = "", list[Agent]()
        while not self._stop.is_set():
            found = self._leader()
            if found and found != url:
                self._end(agents)
                url, agents = found, self._agents(found)
            self._stop.wait(_LOOK_SECONDS)
        self._end(agents)

    def _agents(self, url: str) -> list[Agent]:
        try:
            agents = [Agent(self._config, logger.info, url=url, mirrors=mirrors) for mirrors in (False, True)]
        except ShippingError as error:
            logger.warning("what lies in %s is not brought to the server that leads: %s", self._config.home, error)
            return []
        for agent in agents:
            agent.start()
        return agents

    def _end(self, agents: Sequence[Agent]) -> None:
        for agent in agents:
            agent.stop()
