"""Events that a plugin failed on again and again, and that were set aside: to look at, and to hand over again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowtell.cli import cells
from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.options import Json
from flowtell.cli.outcome import Misuse
from flowtell.cli.output import Output
from flowtell.cli.session import open_session
from flowtell.config import load

if TYPE_CHECKING:
    from flowtell.runner.runner import Runner
    from flowtell.store.store import Store

_MOST = 10_000


def dead(name: str = "", *, json: Json = False) -> None:
    """List the events that plugins could not take, with what they failed on.

    Args:
        name: Only those of this plugin.
    """
    with open_session(json=json) as session:
        found = _rows(session.store, name)
        if json:
            session.print_json(found)
            return
        rows = [
            (one["plugin"], one["seq"], one["type"], cells.moment(one["at"]), one["attempts"], one["error"]) for one in found
        ]
        session.print_table(("plugin", "seq", "type", "set aside", "attempts", "error"), rows)
        if found:
            session.say(f"Mended? flowtell plugins retry {found[0]['plugin']}")


def retry(name: str, *, seq: tuple[int, ...] = (), json: Json = False) -> int:
    """Hand a plugin the events again that it could not take. No server may run on this home meanwhile.

    Args:
        name: The plugin.
        seq: Only the event at this place in the log; give it again for more than one.
    """
    from flowtell.server.writing import writing_store

    log_to_stderr()
    config, output = load(), Output(json=json)
    with writing_store(config) as store:
        wanted = [one["seq"] for one in _rows(store, name) if not seq or one["seq"] in seq]
        if not wanted:
            raise Misuse(f"'{name}' has no such event set aside; see 'flowtell plugins dead'")
        outcomes = _hand_over(_runner(name, store), wanted)
    if json:
        output.print_json(outcomes)
    else:
        output.print_table(("seq", "outcome"), [(one["seq"], one["outcome"]) for one in outcomes])
    return int(any(one["outcome"] != "taken" for one in outcomes))


def _rows(store: Store, name: str) -> list[dict[str, Any]]:
    from sqlalchemy import select

    from flowtell.store.tables import dead_events, events

    wanted = select(dead_events, events.c.type).join_from(
        dead_events, events, events.c.seq == dead_events.c.seq, isouter=True
    )
    if name:
        wanted = wanted.where(dead_events.c.plugin == name)
    found = store.read(wanted.order_by(dead_events.c.plugin, dead_events.c.seq).limit(_MOST))
    return [{**row._mapping, "type": row.type or "no longer in the log"} for row in found]


def _runner(name: str, store: Store) -> Runner:
    from flowtell.server.discovery import make_runners

    runners, _ = make_runners(load(), store)
    for runner in runners:
        if runner.name == name:
            runner.open()
            return runner
    raise Misuse(f"the plugin '{name}' is not on; see 'flowtell plugins list'")


def _hand_over(runner: Runner, wanted: list[int]) -> list[dict[str, Any]]:
    """One after the other; a plugin that fails on one is made anew for the next."""
    from flowtell.runner.runner import text_of

    outcomes: list[dict[str, Any]] = []
    try:
        for seq in wanted:
            try:
                outcome = "taken" if runner.hand_again(seq) else "no longer in the log"
            except Exception as error:  # noqa: BLE001  # a plugin's code
                outcome = text_of(error)
                runner.reopen()
            outcomes.append({"seq": seq, "outcome": outcome})
    finally:
        runner.close()
    return outcomes


__all__ = ["dead", "retry"]
