"""`concurrency`: a block of code under a limit by name, over all processes. Prefect's spelling, for code of both colours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from flowtell.engine import context, limiting
from flowtell.engine.admission import Claim
from flowtell.errors import BadLimit
from flowtell.ids import new_id


class concurrency:  # noqa: N801  # read as a word, as in `with concurrency("database"):`
    """Hold a place of each named limit while the block runs: `with`, or `async with`.

    A name for which no limit is stated (`flowtell limits set NAME N`, or `[limits.name]`) limits nothing.

    Args:
        names: one name or several, taken at once or not at all.
        occupy: how many places of each.
        timeout_seconds: how long to wait; None for as long as it takes.
        strict: whether a name without a limit is refused.

    Raises:
        TimeoutError: no place was free in time.
        LimitDeadlock: none ever would be, as the holders wait for what is held around this block.
        BadLimit: more places are asked for than there are, or, where `strict`, no limit is stated under a name.
    """

    def __init__(
        self, names: str | Sequence[str], occupy: int = 1, timeout_seconds: float | None = None, *, strict: bool = False
    ) -> None:
        if occupy < 1:
            raise ValueError(f"occupy is a whole number from 1 on, not {occupy!r}")
        self._names = (names,) if isinstance(names, str) else tuple(names)
        self._occupy, self._timeout, self._strict = occupy, timeout_seconds, strict
        self._claim: Claim | None = None

    def _asking(self) -> Claim | None:
        stated = limiting.stated_limits()
        missing = [name for name in self._names if name not in stated] if self._strict else []
        if missing:
            raise BadLimit(missing[0], "none is stated under this name; state one by 'flowtell limits set'")
        limits: dict[str, int | None] = {name: None for name in self._names if name in stated}
        if not limits:
            return None
        run = context.current.get()
        flow_run, task_run = (run.scope.run, run.task_run) if run is not None else ("", "")
        return Claim(new_id(), limits, run=flow_run or task_run, task_run=task_run, slots=self._occupy)

    def __enter__(self) -> Self:
        self._claim = self._asking()
        if self._claim is not None:
            self._claim.wait(self._timeout).enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        claim, self._claim = self._claim, None
        if claim is not None:
            claim.leave()

    async def __aenter__(self) -> Self:
        self._claim = self._asking()
        if self._claim is not None:
            async with asyncio.timeout(self._timeout):
                await self._claim.ended()
            self._claim.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)
