"""Which state of each run has been told of, so that a reading of the same again costs nothing."""

from __future__ import annotations

from flowtell_sources.prefect.directory import Recent
from flowtell_sources.prefect.documents import FlowRun, State, TaskRun


class Told:
    """By Prefect's ids; forgets the oldest, and all with the process: told again, a fact is the same fact."""

    def __init__(self) -> None:
        self._states: Recent[str] = Recent()
        self._attempts: Recent[int] = Recent()

    def note(self, run: str, state: str) -> None:
        self._states.put(run, state)

    def begin(self, run: str) -> None:
        """An attempt's start was told by a message."""
        self._attempts.put(run, self._attempts.get(run, 0) + 1)

    def has_begun(self, run: str, attempts: int) -> bool:
        """Whether messages told of all these attempts, so that nothing of what was before its end is missing."""
        return self._attempts.get(run, 0) >= attempts

    def is_news(self, run: FlowRun | TaskRun) -> bool:
        """Whether the run is in another state than the one that was told."""
        return run.state is not None and self._states.get(run.id) != _identity(run.state)

    def note_run(self, run: FlowRun | TaskRun) -> None:
        if run.state is not None:
            self._states.put(run.id, _identity(run.state))


def _identity(state: State) -> str:
    return state.id or f"{state.title}@{state.timestamp}"
