"""The tour on a terminal: one table that fills while it runs, then where to look. Plain lines in a pipe."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from flowtell.cli import cells
from flowtell.cli.output import Output
from flowtell.demo.process import Outcome
from flowtell.demo.sights import Sight
from flowtell.demo.stage import ENVIRONMENT, Stage
from flowtell.demo.steps import Step

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

_ABOUT: Final = "Four years of weather at Seattle, as pipelines that flowtell watches."


class Screen:
    """What the person sees; nothing of it with `--json`."""

    def __init__(self, output: Output, steps: Sequence[Step]) -> None:
        self._output, self._steps = output, steps
        self._outcomes: list[Outcome] = []
        self._live: Live | None = None

    @contextmanager
    def playing(self) -> Iterator[None]:
        """While steps are played, the table is drawn again with each."""
        if not self._output.rich:
            yield
            return
        from rich.live import Live

        self._output.console.print(f"\n{_ABOUT}\n", style="bold")
        with Live(self._table(), console=self._output.console, refresh_per_second=10) as self._live:
            yield

    def ended(self, outcome: Outcome) -> None:
        """Show how a step went."""
        self._outcomes.append(outcome)
        if self._live is not None:
            self._live.update(self._table())
        elif not self._output.json:
            self._output.print_row(("step", *(cell.plain for cell in _row(outcome))))
            self._output.flush()

    def _table(self) -> Table:
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for outcome in self._outcomes:
            table.add_row(*(Text(cell.shown, cell.style, overflow="ellipsis", no_wrap=True) for cell in _row(outcome)))
        for place, step in enumerate(self._steps[len(self._outcomes) :]):
            sign: Any = Spinner("dots", "running", style="cyan") if place == 0 else Text("· waits", "dim")
            table.add_row(Text(step.flow, "dim"), sign, Text(), Text(step.shows, "dim"))
        return table

    def show_sights(self, sights: Sequence[Sight], stage: Stage) -> None:
        """What each use saw, and where to look."""
        self._output.print_heading("What it saw")
        for sight in sights:
            where, words = _where(sight), _words(sight)
            if self._output.rich:
                self._print_sight(sight, where, words)
            else:
                self._output.print_row(("use", sight.use, "yes" if sight.saw else "no", where, words))
        if self._output.rich:
            self._output.print_text("")
        self._output.say(f"The data is in {stage.config.home}, environment {ENVIRONMENT}.")

    def _print_sight(self, sight: Sight, where: str, words: str) -> None:
        from rich.text import Text

        sign, style = ("✔", "green") if sight.saw else ("✘", "red")
        line = Text.assemble((sign, style), "  ", (sight.use.ljust(8), "bold"), " ", words)
        self._output.console.print(line, soft_wrap=True)
        self._output.console.print(Text(f"            {where}", "cyan"), soft_wrap=True)


def _row(outcome: Outcome) -> list[cells.Cell]:
    run = outcome.run
    state = cells.state(run.state) if run else cells.Cell("unknown", "? unknown", "red")
    lasted = cells.lasted(run.started, run.ended, run.duration) if run else cells.span(None)
    words = _how(outcome)
    return [cells.Cell(outcome.step.flow, outcome.step.flow, "bold"), state, lasted, cells.Cell(words, words)]


def _how(outcome: Outcome) -> str:
    """What the step shows, or why it failed, and what else the log has to say of it."""
    if not outcome.as_expected:
        return f"expected {outcome.step.ends}. {outcome.said}"
    if outcome.run and outcome.run.state == "failed" and outcome.run.error:
        error = outcome.run.error
        return f"{error.type.rpartition('.')[2]}: {error.message}"
    return " · ".join((outcome.step.shows, *_facts(outcome)))


def _facts(outcome: Outcome) -> Iterator[str]:
    if len(outcome.tasks) > 1:
        completed = sum(task.state == "completed" for task in outcome.tasks)
        whole = completed == len(outcome.tasks)
        yield f"{completed} task runs" if whole else f"{completed} of {len(outcome.tasks)} task runs completed"
    if outcome.retries:
        yield f"{outcome.retries} retries"


def _where(sight: Sight) -> str:
    if sight.install:
        return f"pip install {sight.install}"
    if "://" in sight.where:
        return sight.where
    # With `make demo` the command is in the checkout's environment, which is on nobody's PATH.
    return f"{'flowtell' if shutil.which('flowtell') else sys.argv[0]} {sight.where}"


def _words(sight: Sight) -> str:
    return "not installed" if sight.install else sight.words
