"""Tasks that count together: what they did is kept when the block ends well, and undone by their hooks when it does not.

A tree: blocks hold blocks and parts, a part being one run of a task that has hooks. Inner blocks are decided with the
outermost, which keeps a record on disk: see `transaction_record`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import time_ns
from typing import TYPE_CHECKING, Any, Final, Literal

from flowtell.bus import emit
from flowtell.engine.context import current
from flowtell.engine.hooks import called
from flowtell.engine.logs import record as log
from flowtell.engine.statements import place
from flowtell.engine.transaction_record import Record, has_committed, note_committed, open_record
from flowtell.events import TransactionBegun, TransactionCommitted, TransactionInDoubt, TransactionRolledBack
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.runs import Run
    from flowtell.engine.states import State

State_ = Literal["active", "staged", "committed", "rolled_back"]
_MISSING: Final = object()
LOGGER: Final = "flowtell.transactions"


class Transaction:
    """One block, or one task run's part in it. Hooks get the part, which knows what the blocks around it know."""

    key: str
    state: State_
    children: list[Transaction]

    def __init__(self, key: str = "", parent: Transaction | None = None, record: Record | None = None) -> None:
        self.key, self.parent, self.record = key, parent, record
        self.number = 0 if record is None else record.next_number()
        self.children = []
        self.parts: dict[str, Transaction] = {}
        """By task run, those that have begun and not ended."""
        self.state = "active"
        self.begun = ""
        """Of a block, the id of the event that says so."""
        self.task = ""
        """Of a part."""
        self.commit_hooks: tuple[Callable[..., Any], ...] = ()
        self.rollback_hooks: tuple[Callable[..., Any], ...] = ()
        self.values: dict[str, Any] = {}

    def set(self, name: str, value: Any) -> None:
        """Keep a value for the hooks. After a kill they have those that can be pickled."""
        self.values[name] = value
        if self.record is not None:
            self.record.say_value(self.number, name, value)

    def get(self, name: str, default: Any = _MISSING) -> Any:
        """A value of this or of the next one around it that has it.

        Raises:
            ValueError: none has, and there is no default.
        """
        if name in self.values:
            return self.values[name]
        if self.parent is not None:
            return self.parent.get(name, default)
        if default is _MISSING:
            raise ValueError(f"the transaction has no value {name!r}; keep one by set({name!r}, ...)")
        return default

    def is_committed(self) -> bool:
        """Whether one under this key was committed before: then leave the block, as all is done."""
        return self.state == "committed"

    def is_rolled_back(self) -> bool:
        return self.state == "rolled_back"

    def is_active(self) -> bool:
        return self.state == "active"

    def is_staged(self) -> bool:
        """Whether all in it has ended well, and it waits for the block around it."""
        return self.state == "staged"

    # --- both ends, of a tree

    def leaves(self) -> Iterator[Transaction]:
        """The parts below it that are to be decided, in the order in which they ended."""
        if self.state == "staged" and self.task:
            yield self
        for child in list(self.children):
            yield from child.leaves()

    def tasks(self) -> list[str]:
        """Of all parts below it."""
        return [name for child in self.children for name in ([child.task] if child.task else child.tasks())]

    def commit(self) -> list[str]:
        """Call the hooks of each part, in order; their tasks. What a hook raises is raised."""
        leaves = list(self.leaves())
        for leaf in leaves:
            for hook in leaf.commit_hooks:
                called(hook, leaf)
            leaf.say("told")
        self.settle("committed")
        return [leaf.task for leaf in leaves]

    def roll_back(self) -> tuple[list[str], list[str]]:
        """Call the hooks of each part, the last first; tasks that were undone, and those whose hooks raised."""
        undone: list[str] = []
        failed: list[str] = []
        for leaf in reversed(list(self.leaves())):
            (undone if _was_undone(leaf) else failed).append(leaf.task)
        self.settle("rolled_back")
        return undone, failed

    def settle(self, state: State_) -> None:
        """It is decided, with all below it."""
        self.state = state
        for child in self.children:
            child.settle(state)

    def say(self, what: str, **more: Any) -> None:
        """To the record."""
        if self.record is not None:
            self.record.say(what, n=self.number, **more)


def _was_undone(part: Transaction) -> bool:
    try:
        for hook in part.rollback_hooks:
            called(hook, part)
    except Exception as error:  # noqa: BLE001  # the others are undone all the same
        _tell("ERROR", f"The rollback hook of task {part.task} raised {type(error).__name__}: {error}")
        return False
    part.say("undone")
    return True


def _tell(level: str, message: str) -> None:
    run = current.get()
    if run is not None:
        log(run, level, LOGGER, message)


# --- the block ----------------------------------------------------------------------------------------------------

_around: ContextVar[Transaction | None] = ContextVar("flowtell_transaction", default=None)


@contextmanager
def transaction(key: str | None = None, *, overwrite: bool = False) -> Iterator[Transaction]:
    """A block that counts as a whole. At its end tasks that were submitted in it are waited for.

    Where it ends well, the `on_commit` hooks of the tasks that completed in it are called in order; where anything is raised
    in it or by such a hook, their `on_rollback` hooks are, the last first, and it is raised on. A block inside another is
    decided with that one; one that raises is rolled back at once. With a `key` a second one under it finds itself committed
    (`is_committed`), unless it is to `overwrite`.
    """
    outer = _around.get()
    block = Transaction(key or "", outer, outer.record if outer is not None else open_record(key or ""))
    if key and not overwrite and has_committed(key):
        block.state = "committed"
    _begin(block)
    before = set(_open_runs())
    _around.set(block)
    try:
        yield block
        _wait(before)
    except BaseException as error:
        _around.set(outer)
        if isinstance(error, Exception):  # who asks to end waits for nobody; what ends later is undone then
            _wait(before)
        _give_up(block, error)
        raise
    _around.set(outer)
    _end_well(block)


def get_transaction() -> Transaction | None:
    """The one around the caller: inside a task with hooks that task run's own part in it. None outside of any."""
    block, run = _around.get(), current.get()
    return block if block is None or run is None else block.parts.get(run.id, block)


def _open_runs() -> dict[str, Run]:
    run = current.get()
    return {} if run is None else run.scope.open


def _wait(before: set[str]) -> None:
    for identifier, run in list(_open_runs().items()):
        if identifier not in before and run.future is not None:
            run.future.wait()


def _begin(block: Transaction) -> None:
    if block.is_committed():
        if block.parent is None and block.record is not None:
            block.record.close()
        block.record = None
        return
    now = time_ns() // 1000
    block.begun = new_id(now)
    block.say("open", parent=0 if block.parent is None else block.parent.number, begun=block.begun)
    emit(TransactionBegun(id=block.begun, time=now, key=block.key, **place()))


def _end_well(block: Transaction) -> None:
    if not block.begun:
        return
    if block.parent is not None and block.parent.is_active():
        block.state = "staged"
        block.parent.children.append(block)
        return
    block.say("committing")
    try:
        tasks = block.commit()
    except BaseException as error:
        block.say("rolling")
        _give_up(block, error)
        raise
    _note_keys(block)
    _say_end(TransactionCommitted, block, tasks)


def _note_keys(block: Transaction) -> None:
    if block.key:
        note_committed(block.key)
    for child in block.children:
        _note_keys(child)


def _give_up(block: Transaction, error: BaseException) -> None:
    if not block.begun:
        return
    undone, failed = block.roll_back()
    kind = TransactionInDoubt if failed else TransactionRolledBack
    _say_end(kind, block, failed or undone, error)


def _say_end(kind: Any, block: Transaction, tasks: list[str], error: BaseException | None = None) -> None:
    """And what was decided with it, the inner blocks first."""
    from flowtell.engine.failure import failure_of

    for inner in block.children:
        if inner.begun:
            _say_end(kind, inner, inner.tasks(), error)
    now = time_ns() // 1000
    told = None if error is None else failure_of(error)
    around = {**place(), "caused_by": block.begun}
    emit(kind(id=new_id(now), time=now, key=block.key, tasks=tuple(tasks), error=told, **around))
    if block.parent is None and block.record is not None:
        block.record.close()


# --- the parts ----------------------------------------------------------------------------------------------------


def take_part(run: Run, state: State) -> None:
    """A run of a task with hooks stands thus now."""
    block = _around.get()
    if block is None or block.is_committed():
        if state == "completed":
            _commit_alone(run)
        return
    if state == "running":
        if run.id not in block.parts:
            block.parts[run.id] = _part(run, block)
        return
    part = block.parts.pop(run.id, None)
    if part is None:
        return
    if state == "completed":
        part.state = "staged"
        part.say("done")
        if block.is_rolled_back():
            part.roll_back()
        else:
            block.children.append(part)
    else:  # it has to clean up what it did itself, as it raised
        part.say("dropped")


def _part(run: Run, block: Transaction) -> Transaction:
    part = Transaction("", block, block.record)
    part.task, hooks = run.work.name, run.work.hooks
    part.commit_hooks, part.rollback_hooks = hooks.get("commit", ()), hooks.get("rollback", ())
    code = getattr(run.work.fn, "__code__", None)
    file, function = getattr(code, "co_filename", ""), getattr(run.work.fn, "__qualname__", "")
    part.say("begun", parent=block.number, task=part.task, file=file, module=run.work.fn.__module__, function=function)
    return part


def _commit_alone(run: Run) -> None:
    """Outside of blocks a task that completed is committed."""
    part = Transaction()
    for hook in run.work.hooks.get("commit", ()):
        try:
            called(hook, part)
        except Exception as error:  # noqa: BLE001  # a hook is the user's code, and no part of the run
            log(run, "ERROR", LOGGER, f"The commit hook of task {run.work.name} raised {type(error).__name__}: {error}")
