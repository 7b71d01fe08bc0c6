"""A source on a thread of its own."""

from __future__ import annotations

import threading

from flowtell.source.runner import SourceRunner


class SourceThread:
    """Takes turns until stopped."""

    def __init__(self, runner: SourceRunner) -> None:
        self.runner = runner
        self._thread = threading.Thread(target=self._run, name=f"flowtell-source-{runner.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        runner = self.runner
        while not runner.stopping.is_set():
            runner.stopping.wait(runner.turn())
        runner.close()

    def ask_to_stop(self) -> None:
        """Return at once; `join` waits."""
        self.runner.stopping.set()

    def join(self, timeout: float) -> None:
        """Wait at most `timeout` seconds for the source to have closed."""
        self._thread.join(timeout)
