"""The plugin `alerts`: keeps what is known of each flow, judges its rules on every tick, opens and resolves incidents.

A projection. Events only add to what is known; the verdicts are passed in `tick`, which no reading command calls and no
plugin gets before it has caught up: history opens no incident but for what is still bad, and nothing is judged twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from flowtell.errors import UnknownKey
from flowtell.events import (
    DeploymentDeclared,
    Event,
    FlowRunFinished,
    FlowRunRemoved,
    FlowRunStarted,
    IncidentAcknowledged,
    SilenceCreated,
    SilenceExpired,
)
from flowtell.plugin import BasePlugin, Context
from flowtell_alerts import _flow_graph, silences, tables
from flowtell_alerts._arrivals import Arrivals
from flowtell_alerts._kind import BACKFILL, Facts
from flowtell_alerts._known import Known
from flowtell_alerts._memory import Memory
from flowtell_alerts._rulebook import Rulebook
from flowtell_alerts._rules import Rule
from flowtell_alerts._sights import Sight, Sights, sees
from flowtell_alerts._subject import FLOW, SOURCE, SubjectKey
from flowtell_alerts._timers import Timers
from flowtell_alerts._unread import FAR_BEHIND, Unread
from flowtell_alerts._verdict import Verdict
from flowtell_alerts.incidents import RULE_REMOVED, Change, follow, key_of, resolved
from flowtell_alerts.kinds import TAKERS, takers
from flowtell_alerts.open_incidents import OpenIncidents
from flowtell_alerts.silences import Silences

RULES_A_TICK: Final = 2_000
"""Rules judged in one tick, so that its write set stays small; the others come in the next."""

RULES_PATH: Final = "rules_path"

DECLARATIONS: Final = ("flow.declared", "deployment.declared", "deployment.removed", "rule.declared", "rule.removed")

NOT_UNDERSTOOD: Final = "not understood"

_DAY: Final = 86_400_000_000


def create(settings: Mapping[str, Any]) -> Evaluator:
    """The factory that the entry point names.

    Raises:
        UnknownKey: anything but `rules_path`, the file whose `[[rules]]` hold: the configuration's own unless one is named.
    """
    for key in settings:
        if key != RULES_PATH:
            raise UnknownKey(key, "[plugin.alerts]", *get_close_matches(key, [RULES_PATH], n=1))
    return Evaluator(str(settings.get(RULES_PATH, "")))


class Evaluator(BasePlugin):
    """Judges the rules that flows, deployments' tags and configuration files state.

    An open incident and all that is known are in its tables, so a restart forgets nothing and opens nothing twice.
    """

    wants = tuple(dict.fromkeys((*DECLARATIONS, *TAKERS, *_flow_graph.WANTS, "incident.acknowledged", *silences.WANTS)))
    tables = tables.metadata
    tick_seconds = 0.5
    irreplaceable = "its verdicts were passed as time went by, and incidents made anew would be told anew"

    def __init__(self, rules_path: str = "") -> None:
        self._rules_path = rules_path

    def open(self, context: Context) -> None:
        super().open(context)
        self._memory = Memory(context)
        self._rulebook = Rulebook(context, self._memory, self._rules_path)
        self._unread = Unread(context, self.wants)
        self._arrivals = Arrivals(self._memory.subjects(), context.clock())
        self._timers = Timers()
        self._unjudged = self._memory.subjects()
        self._cleaned = 0
        self._sights = Sights(context, self._memory)
        self._waiting: defaultdict[SubjectKey, Timers] = defaultdict(Timers)
        """By who reports: when what is known comes to where the verdict needs it."""
        self._incidents = OpenIncidents(context)
        self._silences = Silences(context, tables.silences)

    # --- what is known --------------------------------------------------------------------------------------------

    def handle(self, events: Sequence[Event]) -> None:
        now = self.context.clock()
        touched: set[SubjectKey] = set()
        for event in events:
            if self._unread.passed(event) and not event.contrary:
                touched |= self._take(event, now)
        touched |= self._rulebook.refresh()
        for key in touched:
            self._memory.of(key).forget_history(now)
            self._memory.changed(key)
        self._unjudged |= touched
        self._memory.save()

    def _take(self, event: Event, now: int) -> set[SubjectKey]:
        """The subjects of which the event says something."""
        match event:
            case IncidentAcknowledged():
                self._incidents.acknowledge(event)
            case SilenceCreated() | SilenceExpired():
                self._silences.take(event)
            case _ if event.type in DECLARATIONS:
                declared = self._rulebook.take(event)
                return self._fold(event, declared, now) if declared is not None and declared.name else set()
            case _:
                return self._fold(event, self._memory.runs_of(event), now)
        return set()

    def _fold(self, event: Event, runs: SubjectKey, now: int) -> set[SubjectKey]:
        touched = self._subjects(event, runs)
        if runs.name:
            self._meet(runs, event)
            touched.add(runs)
        is_backfill = self._is_backfill(event)
        self._note_run(runs, event)
        self._incidents.take(event, runs)
        for key in touched:
            self._arrivals.note(key, event)
        for facts, key in self._told_of(event, runs):
            if facts.heeds_backfill or not is_backfill:
                self._memory.of(key).take(facts, event, now)
        return touched

    def _told_of(self, event: Event, runs: SubjectKey) -> Iterator[tuple[type[Facts], SubjectKey]]:
        """The subjects of which the event says something, with what it says it for."""
        for facts in takers(event):
            for key in facts.subjects(event, runs):
                if not facts.of_named_only or self._memory.knows(key):
                    yield facts, key

    def _is_backfill(self, event: Event) -> bool:
        return self._memory.is_backfill(event.run) or (isinstance(event, FlowRunStarted) and event.cause == BACKFILL)

    def _subjects(self, event: Event, runs: SubjectKey) -> set[SubjectKey]:
        found = {key for _, key in self._told_of(event, runs)}
        for key in found:
            is_new = not self._memory.knows(key)
            if self._memory.tell(key, runs) or is_new:
                self._rulebook.doubt(key)
        return found

    def _meet(self, runs: SubjectKey, event: Event) -> None:
        """Know the rules of the runs before what the event says of them is folded."""
        if not self._memory.knows(runs):
            self._rulebook.doubt(runs)
        known = self._memory.of(runs)
        if event.source and not known.source and event.type not in DECLARATIONS:
            known.source, known.is_new = event.source, True
            self._rulebook.doubt(runs)
        if isinstance(event, DeploymentDeclared) and event.writer != known.writer:
            self._sights.note_writer(known.writer, event.writer)
            known.writer, known.is_new = event.writer, True
        self._rulebook.refresh({runs})

    def _note_run(self, runs: SubjectKey, event: Event) -> None:
        if isinstance(event, FlowRunStarted) and runs.name:
            outer = self._memory.began(event.parent_run)
            if outer is not None:
                self._incidents.inside(runs, outer, event)
            self._memory.begins(event.run, runs, is_backfill=event.cause == BACKFILL)
        elif isinstance(event, FlowRunFinished | FlowRunRemoved):
            self._memory.ends(event.run)

    # --- what is judged -------------------------------------------------------------------------------------------

    def tick(self, now: int) -> None:
        if not self.context.live:
            return
        self._news: list[Event] | None = None
        self._look(now)
        self._rulebook.tell_of_file(now, self._news_now())
        budget = RULES_A_TICK
        due = dict.fromkeys(
            (*self._timers.due(now), *self._seen(), *self._unjudged)
        )  # what a restart looks at anew comes last
        self._unjudged = set()
        for key in due:
            if budget <= 0 or self._arrivals.are_expected(key, now):
                self._unjudged.add(key)
            else:
                budget -= 1 + len(self._memory.of(key).rules)
                self._judge(key, now)
        self._incidents.tick(now)
        self._memory.save()
        self._clean(now)

    def idle_until(self, now: int) -> int | None:
        """Before when no tick would change anything if no event came; None where none ever would.

        For who moves the clock and reads the log to its end; a server ticks all the time.
        """
        if self._unjudged:
            return now
        moments = (self._timers.next(), self._incidents.next())
        return min((moment for moment in moments if moment is not None), default=None)

    def _look(self, now: int) -> None:
        read_until = self.context.read_until
        head = self.context.log.head()
        self._news_now()
        self._sights.look(now, read_until, head, self._unread.handled)

    def _seen(self) -> set[SubjectKey]:
        """Those that waited until more of their runs was known."""
        return {
            key
            for reporter, waiting in self._waiting.items()
            for key in waiting.due(self._sights.of(self._memory.of(reporter)).mark)
        }

    def _judge(self, key: SubjectKey, now: int) -> None:
        known = self._memory.of(key)
        sight = self._sight(known)
        verdicts = [(rule, judge(rule, known, now, sight.watermark if sight else now)) for rule in known.rules]
        changes = [*self._removed(known, now), *self._changes(known, verdicts, now)]
        if self._is_behind(key, changes):
            self._unjudged.add(key)
            return
        for change in changes:
            self._incidents.apply(key, change, now)
        self._rulebook.note(verdicts, now)
        moments = [moment for _, verdict in verdicts for moment in (verdict.again, verdict.needs)] + [
            each.again for each in self._incidents.of(key).values()
        ]
        self._timers.put(key, min((moment for moment in moments if moment), default=None))
        if sight is not None:
            self._wait(key, sight, min((verdict.needs for _, verdict in verdicts if verdict.needs), default=None))
        known.settle(now)
        self._memory.changed(key)

    def _sight(self, known: Known) -> Sight | None:
        """What is seen of it; None where no absence is judged. Whoever reports is a subject too, that may be blind."""
        if known.subject.kind == SOURCE:
            sight = self._sights.of(known)
            return sight._replace(mark=sight.seen)
        if not sees(known):
            return None
        sight = self._sights.of(known)
        if self._memory.tell(sight.reporter, known.runs):
            self._rulebook.doubt(sight.reporter)
            self._unjudged |= self._rulebook.refresh({sight.reporter})
        return sight

    def _wait(self, key: SubjectKey, sight: Sight, needs: int | None) -> None:
        if needs is not None or sight.reporter in self._waiting:
            self._waiting[sight.reporter].put(key, None if needs is None else needs + sight.behind)

    def _removed(self, known: Known, now: int) -> list[Change]:
        incidents = self._incidents.of(known.subject).values()
        held = {rule.key for rule in known.rules} if incidents else ()
        orphans = [incident for incident in incidents if incident.rule_key not in held]
        return [resolved(incident, RULE_REMOVED, now, known.declaration) for incident in orphans]

    def _changes(self, known: Known, verdicts: Sequence[tuple[Rule, Verdict]], now: int) -> Iterator[Change]:
        for rule, verdict in verdicts:
            incidents = {one.identity: one for one in self._incidents.of(known.subject).values() if one.rule_key == rule.key}
            for identity, own in verdict.apart(incidents):
                yield from follow(
                    incidents.get(identity),
                    rule,
                    known,
                    own,
                    now=now,
                    new_id=self._incidents.new_id,
                    openings=self._incidents.openings(key_of(rule, identity)),
                )

    def _is_behind(self, key: SubjectKey, changes: Sequence[Change]) -> bool:
        """Whether the log has news of the subject that may take back what is about to be opened.

        A plugin counts as live some batches before the log's end; after a restart the end of a run may lie there.
        """
        if all(change.kind != "opened" for change in changes):
            return False
        news = self._news_now()
        return len(news) >= FAR_BEHIND or any(self._is_about(event, key) for event in news)

    def _is_about(self, event: Event, key: SubjectKey) -> bool:
        if key.kind == FLOW:
            return event.flow == key.name
        runs = self._memory.runs_of(event)
        return any(key == told for _, told in self._told_of(event, runs))

    def _news_now(self) -> list[Event]:
        """Read once in a tick, if at all."""
        if self._news is None:
            self._news = self._unread.read()
        return self._news

    def _clean(self, now: int) -> None:
        if now - self._cleaned > _DAY:
            self._cleaned = now
            self._incidents.clean(now)
            self._silences.forget(now)


def judge(rule: Rule, known: Known, now: int, watermark: int | None = None) -> Verdict:
    """The verdict on `rule` at `now`, by what is known of its subject up to `watermark`; by default, up to now."""
    if rule.kind is None:
        return Verdict(NOT_UNDERSTOOD, known=False)
    return rule.kind.judge(rule.demand, known.facts(rule.kind.facts), now, now if watermark is None else watermark)
