"""The watchdog: an address that is asked each minute as long as incidents are found and told, and not when either hangs.

Whoever is asked (healthchecks, Dead Man's Snitch, Cronitor, an Alertmanager elsewhere) tells people when it is not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from logging import Logger
from typing import Final

from flowtell.plugin import PluginStatus
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.channels._exchange import Exchange

EVERY: Final = 60_000_000
"""µs between two heartbeats."""

MOST_LAG: Final = 60.0
"""Seconds by which the evaluator may be behind the log."""

TIMEOUT: Final = 10.0

EVALUATOR: Final = "alerts"
_WELL: Final = frozenset({"running", "starting"})


class Heartbeat:
    """Belongs to the sender's thread; each request has a thread of its own, one at a time."""

    def __init__(self, url: str, logger: Logger) -> None:
        self._url, self._logger = url, logger
        self._at = 0
        self._thread: threading.Thread | None = None
        self._failed = False
        self._ailing = ""

    def beat(self, now: int, plugins: Callable[[], Sequence[PluginStatus]], hung: Sequence[str]) -> None:
        """Ask the address, if it is time and all is well.

        Args:
            hung: channels that do not come back.
        """
        if not self._url or now - self._at < EVERY or (self._thread is not None and self._thread.is_alive()):
            return
        self._at = now
        problem = ailing(plugins(), hung)
        if problem != self._ailing:
            self._ailing = problem
            self._logger.warning("the heartbeat %s", f"stops: {problem}" if problem else "goes on")
        if not problem:
            self._thread = threading.Thread(target=self._ask, name="flowtell-heartbeat", daemon=True)
            self._thread.start()

    def _ask(self) -> None:
        exchange = Exchange("heartbeat", self._url, TIMEOUT)
        try:
            exchange.get()
        except ChannelError as error:
            if not self._failed:
                self._logger.warning("the heartbeat did not arrive: %s", error.problem)
            self._failed = True
        else:
            self._failed = False
        finally:
            exchange.close()

    def close(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(max(timeout, 0.0))


def ailing(plugins: Sequence[PluginStatus], hung: Sequence[str]) -> str:
    """Why nobody should believe that incidents are found and told; empty where they are."""
    evaluator = next((plugin for plugin in plugins if plugin.name == EVALUATOR), None)
    if evaluator is None:
        return f"the plugin '{EVALUATOR}', which finds incidents, does not run"
    if evaluator.state not in _WELL:
        return f"the plugin '{EVALUATOR}' is {evaluator.state}"
    if evaluator.lag_seconds > MOST_LAG:
        return f"the plugin '{EVALUATOR}' is {evaluator.lag_seconds:.0f} s behind"
    return f"channel '{hung[0]}' does not come back" if hung else ""


__all__ = ["EVERY", "Heartbeat", "ailing"]
