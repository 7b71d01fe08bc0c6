"""Ends the transactions that killed runs of a flow left behind: rolled back, or said to be in doubt, never passed over."""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import time_ns
from typing import TYPE_CHECKING, Any

from flowtell.bus import emit
from flowtell.engine.logs import record as log
from flowtell.engine.transaction import LOGGER, Transaction
from flowtell.engine.transaction_record import Record, take_left, value_of
from flowtell.events import Failure, TransactionCommitted, TransactionInDoubt, TransactionRolledBack
from flowtell.ids import new_id

if TYPE_CHECKING:
    from flowtell.engine.runs import Run

_KILLED = Failure(type="Killed", message="The process of this run ended in the middle of the transaction.")


def end_what_was_left(run: Run) -> None:
    """Called by a flow run that starts, before its function is."""
    for record, lines in take_left(run.scope.flow):
        try:
            _Left(record, lines).end(run)
        except Exception as error:  # noqa: BLE001  # a record that cannot be understood is kept, and is no reason to fail
            problem = f"its record {record.path} cannot be read: {type(error).__name__}: {error}"
            log(run, "ERROR", LOGGER, f"A transaction of a killed run is in doubt, as {problem}")
            record.let_go()


class _Left:
    """One transaction that nobody holds any more."""

    def __init__(self, record: Record, lines: list[dict[str, Any]]) -> None:
        self._record = record
        self._told: dict[str, Any] = {}
        self._nodes: dict[int, Transaction] = {}
        self._how: dict[int, str] = {}
        """By part how far it had come: begun, done, dropped, told or undone."""
        self._begun, self._phase, self._key = "", "", ""
        self._lost: list[str] = []
        """Tasks whose hooks cannot be found."""
        for line in lines:
            self._read(line)

    def _read(self, line: dict[str, Any]) -> None:
        what, number = line["what"], line.get("n", 0)
        if what == "flow":
            self._told = {name: line[name] for name in ("run", "root_run", "flow")}
            self._key = line["key"]
        elif what in ("open", "begun"):
            self._node(what, number, line)
        elif what == "value":
            self._set(number, line)
        elif what in ("committing", "rolling"):
            self._phase = what
        else:
            self._how[number] = what

    def _node(self, what: str, number: int, line: dict[str, Any]) -> None:
        parent = self._nodes.get(line["parent"])
        node = self._nodes[number] = Transaction("", parent)
        node.record, node.number = self._record, number
        if what == "open":
            self._begun = self._begun or line["begun"]
            return
        node.task, self._how[number] = line["task"], "begun"
        hooks = _rollback_hooks(line)
        if hooks is None:
            self._lost.append(node.task)
        node.rollback_hooks = hooks or ()

    def _set(self, number: int, line: dict[str, Any]) -> None:
        """A value that cannot be had any more is missing: the hook that asks for it raises, and its task is in doubt."""
        if number in self._nodes and line["value"]:
            try:
                self._nodes[number].values[line["name"]] = value_of(line)
            except Exception:  # noqa: BLE001, S110  # whatever a user's class raises
                pass

    # --- the end

    def end(self, run: Run) -> None:
        if self._phase == "committing":
            left = self._tasks("done")
            kind: Any = TransactionInDoubt if left else TransactionCommitted
            self._say(run, kind, left or self._tasks("told"))
        else:
            self._roll_back(run)
        self._record.close()

    def _roll_back(self, run: Run) -> None:
        doubtful = [*self._tasks("begun"), *self._lost]
        root = Transaction()
        for number, how in self._how.items():
            if how in ("done", "told") and (node := self._nodes.get(number)) is not None:
                node.state = "staged"
                root.children.append(node)
        undone, failed = root.roll_back()
        doubtful += failed
        kind: Any = TransactionInDoubt if doubtful else TransactionRolledBack
        self._say(run, kind, doubtful or [*self._tasks("undone"), *undone])

    def _tasks(self, how: str) -> list[str]:
        return [self._nodes[number].task for number, one in self._how.items() if one == how and number in self._nodes]

    def _say(self, run: Run, kind: Any, tasks: list[str]) -> None:
        now = time_ns() // 1000
        error = None if kind is TransactionCommitted else _KILLED
        told = {**self._told, "key": self._key, "tasks": tuple(tasks), "caused_by": self._begun, "error": error}
        emit(kind(id=new_id(now), time=now, **told))
        how = kind.type.partition(".")[2].replace("_", " ")
        which = f"Transaction {self._key} of" if self._key else "A transaction of"
        names = f" ({', '.join(tasks)})" if tasks else ""
        message = f"{which} run {self._told.get('run', '')}, which was killed, is {how} now{names}"
        log(run, "ERROR" if kind is TransactionInDoubt else "WARNING", LOGGER, message)


def _rollback_hooks(line: dict[str, Any]) -> tuple[Callable[..., Any], ...] | None:
    """Of the task that was written there; None where its code is not at hand any more."""
    from flowtell.engine.tasks import Task

    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) != line["file"] and getattr(module, "__name__", "") != line["module"]:
            continue
        for value in list(vars(module).values()):
            if isinstance(value, Task) and getattr(value.fn, "__qualname__", "") == line["function"]:
                return value.hooks.get("rollback", ())
    return None
