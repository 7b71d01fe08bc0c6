"""Up to when everything is known of some runs, and who would have told: a source, a machine elsewhere, or this server.

A due time and its start are moments of whoever starts runs, so what is known up to a moment is told by that one's clock:
the server's clock less what the writer's was measured to be behind.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from flowtell.plugin import Context
from flowtell.store.reading import Reporter, reporters
from flowtell_alerts._known import Known
from flowtell_alerts._memory import Memory
from flowtell_alerts._subject import FLOW, SOURCE, SubjectKey
from flowtell_alerts.kinds.blind import Progress

ON_ITS_WAY: Final = 250_000
"""µs from the stamp of an event to its line in the journal, at most: less than that is known."""

STOOD_STILL: Final = 5_000_000
"""µs between two looks after which this server has not listened meanwhile."""

WAITED_FOR: Final = 86_400_000_000
"""µs that a silent teller of an asset or event is waited for."""

HERE: Final = "server"
"""Name of the subject that stands for this server's own machine."""

_LOOK: Final = 1_000_000
_AT_ONCE: Final = 500


class Sight(NamedTuple):
    """What is known of some runs."""

    reporter: SubjectKey
    mark: int
    """How far who reports has come, in µs."""
    behind: int
    """How far the clock of those who start the runs is behind that, and how long their word is on its way, in µs."""
    seen: int
    """When who reports was heard of, by the server's clock."""

    @property
    def watermark(self) -> int:
        """Nothing from before is missing, by the clock of those who start the runs."""
        return self.mark - self.behind


class Sights:
    """Of the evaluator's thread."""

    def __init__(self, context: Context, memory: Memory) -> None:
        self._context, self._memory = context, memory
        self.listening_since = self._looked = context.clock()
        self._here = 0
        self._ahead: deque[tuple[int, int]] = deque(maxlen=100)
        """Ends of the log, and up to when the journals had been read by then."""
        self._writers: Counter[str] = Counter()
        """Who declared the deployments, and how many."""
        self._local: set[str] = set()
        self._elsewhere: dict[str, Reporter] = {}
        self._asked = 0
        for key in memory.subjects():
            self.note_writer("", memory.of(key).writer)

    def note_writer(self, before: str, after: str) -> None:
        """A deployment is declared by another writer than before."""
        for writer, change in ((before, -1), (after, 1)):
            if writer:
                self._writers[writer] += change
                if self._writers[writer] <= 0:
                    del self._writers[writer]

    # --- looking --------------------------------------------------------------------------------------------------

    def look(self, now: int, read_until: int, head: int, handled: int) -> None:
        """Once a tick.

        Args:
            read_until: up to when the journals were read, asked for before `head`.
            head: the log's end.
            handled: up to where the evaluator has taken the log.
        """
        if now - self._looked > STOOD_STILL:
            self.listening_since = now
        self._looked = now
        self._ahead.append((head, read_until))
        while self._ahead and self._ahead[0][0] <= handled:
            self._here = max(self._here, self._ahead.popleft()[1])
        if now - self._asked >= _LOOK:
            self._asked = now
            self._ask()

    def _ask(self) -> None:
        names = [name for name in self._writers if name not in self._local]
        found: dict[str, Reporter] = {}
        for start in range(0, len(names), _AT_ONCE):
            found |= {each.name: each for each in reporters(self._context.read, names[start : start + _AT_ONCE])}
        self._local.update(name for name in names if name not in found)
        self._elsewhere = found

    # --- what is seen ---------------------------------------------------------------------------------------------

    def of(self, known: Known) -> Sight:
        """Of some runs, or of who told of an asset; of a source or machine what it is by itself."""
        if known.subject.kind == SOURCE:
            mark, seen = self._of_reporter(known)
            return Sight(known.subject, mark, 0, seen)
        if known.subject.kind != FLOW:
            return self._of_tellers(known)
        environment = known.subject.environment
        if known.source:
            key = SubjectKey(SOURCE, known.source, environment)
            progress = self._memory.of(key).facts(Progress) if self._memory.knows(key) else None
            if progress is not None and progress.complete_until is not None:
                return Sight(key, progress.complete_until, 0, progress.seen)
        reporter = self._elsewhere.get(known.writer)
        if reporter is not None and (reporter.ended is None or reporter.is_lost):
            mark, behind = min(reporter.last_sign, self._here), int(reporter.skew * 1e6) + ON_ITS_WAY
            return Sight(SubjectKey(SOURCE, reporter.machine, environment), mark, behind, reporter.last_sign)
        return Sight(SubjectKey(SOURCE, HERE, environment), self._here, ON_ITS_WAY, self._here)

    def _of_tellers(self, known: Known) -> Sight:
        """Of an asset or event: whoever of those that told of it is seen least well. One that was silent for a day is not
        waited for any more: of that people are told, and the asset is missing all the same.
        """
        here = Sight(SubjectKey(SOURCE, HERE, known.subject.environment), self._here, ON_ITS_WAY, self._here)
        tellers = [self._memory.of(runs) for runs in known.tellers if runs.kind == FLOW and self._memory.knows(runs)]
        sights = [sight for sight in map(self.of, tellers) if sight.mark > self._here - WAITED_FOR]
        return min([here, *sights], key=lambda sight: sight.watermark)

    def _of_reporter(self, known: Known) -> tuple[int, int]:
        progress = known.facts(Progress)
        progress.listening_since = self.listening_since
        if progress.complete_until is not None:
            return progress.complete_until, progress.seen
        if known.subject.name == HERE:
            return self._here, self._here
        seen = min(self._signs(known.subject.name), default=self._here)
        return min(seen, self._here), seen

    def _signs(self, machine: str) -> Iterator[int]:
        for each in self._elsewhere.values():
            if each.machine == machine and (each.ended is None or each.is_lost):
                yield each.last_sign


def sees(known: Known) -> bool:
    """Whether a rule is judged by an absence, and so by what can be seen."""
    return known.subject.kind != SOURCE and any(rule.kind is not None and rule.kind.sees for rule in known.rules)
