"""How a run, or a block of code, comes through its limits: it asks, waits its turn, holds its places, gives them back."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

from flowtell import bus
from flowtell.engine import limiting
from flowtell.errors import FlowtellError, LimitsNotKept, RunCancelled
from flowtell.limits.book import Answer, Request, refuse

if TYPE_CHECKING:
    import asyncio

    from flowtell.engine.runs import Run
    from flowtell.events import WaitsOn
    from flowtell.limits.desk import Desk

_TELL_EVERY: Final = 5.0
"""Seconds after which one that still waits says so again, where it now waits for others."""

Standing = Literal["new", "waiting", "granted", "refused", "left"]


class Claim:
    """One asking. Its methods are those of a future, so that a run waits for it as for its arguments."""

    def __init__(
        self, ticket: str, limits: Mapping[str, int | None], *, run: str = "", task_run: str = "", slots: int = 1
    ) -> None:
        self.ticket, self._limits, self._slots = ticket, dict(limits), slots
        self._run_id, self._task_run_id = run, task_run
        self._under = limiting.holding.get()
        self._desk = limiting.desk()
        self.standing: Standing = "new"
        self._answer: Answer | None = None
        self._asked = False
        """Whether the desk may know of it: an interruption may come before its answer does."""
        self._lock = threading.Lock()
        self._settled: threading.Event | None = None
        self._then: Callable[[], None] | None = None

    @property
    def desk(self) -> Desk:
        return self._desk

    def request(self) -> Request:
        """What is asked for.

        Raises:
            OSError: this process cannot be made known there.
        """
        self._asked = True
        return Request(
            ticket=self.ticket, owner=self._desk.owner, run=self._run_id, task_run=self._task_run_id, limits=self._limits,
            slots=self._slots, under=self._under,
        )  # fmt: skip

    @property
    def kind(self) -> object:
        """Claims of one kind are served in order: where one has to wait, so has the next."""
        return (tuple(self._limits), self._slots) if not self._under else self.ticket

    # --- waiting ------------------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> Claim:
        """Until it is granted.

        Raises:
            TimeoutError: not within `timeout` seconds.
            LimitDeadlock, BadLimit: it never can be.
            RunCancelled: the run was cancelled meanwhile.
        """
        if not self._try_near():
            from flowtell.engine.task_runners import waiting

            try:
                with waiting():
                    if not self._line_up().wait(timeout):
                        raise TimeoutError(f"no place was free within {timeout:g} s: {', '.join(self._limits)}")
            except BaseException:
                self.leave()
                raise
        return self._admitted()

    async def ended(self) -> None:
        """As `wait`, without holding up the loop."""
        if not self._try_near():
            import asyncio

            loop, reached = asyncio.get_running_loop(), asyncio.Event()
            try:
                self.when_settled(lambda: _wake(loop, reached))
                await reached.wait()
            except BaseException:
                self.leave()
                raise
        self._admitted()

    def try_now(self) -> bool:
        """Ask once, where that is a matter of a file: whether it needs not wait, as it is granted or never can be."""
        return self._try_near()

    def _try_near(self) -> bool:
        if self.standing == "new" and self._desk.is_near:
            keeper().ask_first(self)
        return self.standing in ("granted", "refused")

    def _line_up(self) -> threading.Event:
        with self._lock:
            if self._settled is None:
                self._settled = threading.Event()
            settled = self._settled
            if self.standing not in ("new", "waiting"):
                settled.set()
                return settled
        keeper().enter(self)
        return settled

    def when_settled(self, then: Callable[[], None]) -> None:
        """Call `then` once it needs not wait any more, on whatever thread finds out."""
        with self._lock:
            self._then = then
            waits = self.standing in ("new", "waiting")
        if waits:
            keeper().enter(self)
        else:
            then()

    def _admitted(self) -> Claim:
        if self.standing == "refused" and self._answer is not None:
            refuse(self.request(), self._answer)
        if self.standing == "left":
            raise RunCancelled("run", self._run_id or self.ticket)
        return self

    # --- what becomes of it ---------------------------------------------------------------------------------------------

    def take(self, answer: Answer) -> bool:
        """The desk has answered; False where nobody wants it any more."""
        with self._lock:
            if self.standing == "left":
                return False
            self._answer = answer
            self.standing = "granted" if answer.granted else "refused" if answer.error else "waiting"
        if self.standing == "waiting":
            self.announce(answer.on)
        else:
            self._settle()
        return True

    def _settle(self) -> None:
        with self._lock:
            settled, then, self._then = self._settled, self._then, None
        if settled is not None:
            settled.set()
        if then is not None:
            then()

    def announce(self, on: tuple[WaitsOn, ...]) -> None:
        """It has to wait for these."""

    def enter(self) -> None:
        """The code that it is for begins: what asks inside it may use its places."""
        held = limiting.holding.get()
        if not held or held[-1] != self.ticket:
            limiting.holding.set((*held, self.ticket))

    def leave(self, *, for_now: bool = False) -> None:
        """Give back what is held, and the turn; `for_now` where the run will ask again."""
        held = limiting.holding.get()
        if held and held[-1] == self.ticket:
            limiting.holding.set(held[:-1])
        with self._lock:
            before, self.standing = self.standing, "new" if for_now else "left"
            self._settled = None if for_now else self._settled
            asked, self._asked = self._asked, False
        if asked:
            keeper().leave(self)
        if not for_now and before == "waiting":
            self._settle()


class Admission(Claim):
    """A run's."""

    def __init__(self, run: Run, limits: Mapping[str, int | None]) -> None:
        super().__init__(run.id, limits, run=run.scope.run or run.id, task_run=run.task_run)
        self._run = run
        self._told: tuple[WaitsOn, ...] = ()
        self._tell_at = 0.0

    def _try_near(self) -> bool:
        return self._will_not_run() or super()._try_near()

    def _will_not_run(self) -> bool:
        """It is skipped, as what it was to be given has failed: that needs no place."""
        inputs = self._run.inputs
        return inputs is not None and inputs.failed is not None

    def announce(self, on: tuple[WaitsOn, ...]) -> None:
        """Say whom it waits for, again when those are others."""
        now = time.monotonic()
        if on == self._told or now < self._tell_at:
            return
        if not self._told:
            self._run.outer.open[self._run.id] = self._run  # so that cancelling finds it
        self._run.say_waiting(on, first=not self._told)
        self._told, self._tell_at = on, now + _TELL_EVERY


class Doorkeeper:
    """Asks for all claims of this process that wait, on a thread that lives while any does."""

    _MOST: Final = 64
    """Of one kind so many wait in the book; the others join as those are served, so that it stays short."""
    _IDLE_SECONDS: Final = 2.0
    _ASK_EVERY: Final = 0.25
    """Seconds after which is asked although nothing has changed: a holder may have died."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, Claim] = {}
        self._thread: threading.Thread | None = None
        self._ask_at = 0.0

    def ask_first(self, claim: Claim) -> None:
        """Ask for one that has just come, on its own thread; not before those of its kind that wait already."""
        with self._changed:
            behind = sum(other.kind == claim.kind for other in self._waiting.values())
        if behind < self._MOST:
            self._ask(claim.desk, [claim])

    def enter(self, claim: Claim) -> None:
        with self._changed:
            self._waiting[claim.ticket] = claim
            if self._thread is None:
                self._thread = threading.Thread(target=self._keep, name="flowtell-limits", daemon=True)
                self._thread.start()
            self._changed.notify()

    def leave(self, claim: Claim) -> None:
        with self._changed:
            self._waiting.pop(claim.ticket, None)
        try:
            claim.desk.leave([claim.ticket])
        except OSError as error:
            _warn(claim.desk, error)
        except BaseException:  # a Ctrl-C in the middle of it: what is not given back is held as long as the process lives
            claim.desk.leave([claim.ticket])
            raise

    def _keep(self) -> None:
        while True:
            with self._changed:
                if not self._waiting and not self._changed.wait(self._IDLE_SECONDS) and not self._waiting:
                    self._thread = None
                    return
                claims = list(self._waiting.values())
            try:
                self._go_round(claims)
            except Exception as error:  # noqa: BLE001  # a slip of ours must not leave runs waiting for ever
                bus.warn_once(FlowtellError(f"Asking for limits failed ({type(error).__name__}: {error}); it goes on."))
                time.sleep(self._ASK_EVERY)

    def _go_round(self, claims: list[Claim]) -> None:
        desks = {claim.desk for claim in claims}
        for desk in desks:
            now = time.monotonic()
            if desk.may_have_changed() or now >= self._ask_at:
                self._ask_at = now + self._ASK_EVERY
                self._ask(desk, self._first([claim for claim in claims if claim.desk is desk]))
        if desks:
            time.sleep(min(desk.every for desk in desks))

    def _first(self, claims: list[Claim]) -> list[Claim]:
        """Of each kind all that wait in the book, whose turn may be first, and others until as many do as may."""
        kinds: dict[object, list[Claim]] = {}
        for claim in sorted(claims, key=lambda claim: claim.standing != "waiting"):
            those = kinds.setdefault(claim.kind, [])
            if claim.standing == "waiting" or len(those) < self._MOST:
                those.append(claim)
        return [claim for those in kinds.values() for claim in those]

    def _ask(self, desk: Desk, claims: list[Claim]) -> None:
        try:
            answers = desk.ask([claim.request() for claim in claims])
        except OSError as error:
            _warn(desk, error)
            answers = [Answer(granted=True)] * len(claims)
        unwanted = [claim for claim, answer in zip(claims, answers, strict=True) if not self._tell(claim, answer)]
        if unwanted:
            try:
                desk.leave([claim.ticket for claim in unwanted])
            except OSError as error:
                _warn(desk, error)

    def _tell(self, claim: Claim, answer: Answer) -> bool:
        wanted = claim.take(answer)
        if claim.standing != "waiting":
            with self._changed:
                self._waiting.pop(claim.ticket, None)
        return wanted


def _warn(desk: Desk, error: OSError) -> None:
    problem = error.strerror or str(error)
    bus.warn_once(LimitsNotKept(desk.place, problem, "runs go on without"))


def _wake(loop: asyncio.AbstractEventLoop, reached: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(reached.set)
    except RuntimeError:  # the loop has been closed: nobody waits any more
        pass


_keeper = Doorkeeper()


def keeper() -> Doorkeeper:
    """This process's."""
    return _keeper


def _forked() -> None:
    """A child has none of its parent's threads, and none of its claims."""
    global _keeper
    _keeper = Doorkeeper()


os.register_at_fork(after_in_child=_forked)
