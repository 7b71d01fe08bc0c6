"""What there is of automations, for whoever shows them: from the file as it is now, and from the plugin's tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, Table, inspect, select

from flowtell.automations import tables
from flowtell.automations.statement import Automation, automation_of, read_automations
from flowtell.errors import FlowtellError
from flowtell.store.store import Store


def stated_in_code(given: Iterable[Any], flow: str, deployment: str) -> tuple[list[Automation], list[FlowtellError]]:
    """Those of a deployment, and why others cannot be used: another version of flowtell may know more."""
    place = f"{flow}/{deployment}"
    found: list[Automation] = []
    problems: list[FlowtellError] = []
    for number, table in enumerate(given, 1):
        try:
            found.append(automation_of({"name": f"{place}:{number}", "run": place, **table}, place))
        except FlowtellError as error:
            problems.append(error)
    return found, problems


def all_automations(store: Store, path: str) -> dict[str, Automation]:
    """By name, those of the file first.

    Raises:
        UnknownKey, BadValue: the file's cannot be used.
    """
    every = list(read_automations(path)) if path else []
    for row in rows_of(store, tables.declared):
        every += stated_in_code(msgspec.json.decode(row.tables), row.flow, row.deployment)[0]
    found: dict[str, Automation] = {}
    for one in every:
        found.setdefault(one.name, one)
    return found


def rows_of(store: Store, table: Table) -> Sequence[Row[Any]]:
    """All of a table; none where no server has made it yet."""
    with store.reading() as connection:
        if not inspect(connection).has_table(table.name):
            return ()
    return store.read(select(table))
