"""Hand the log to one plugin again: a projection's tables are made anew, an effect sends again what you say."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.options import Json
from flowtell.cli.outcome import Misuse
from flowtell.cli.output import Output
from flowtell.cli.progress import progress_bar
from flowtell.config import Config, load

if TYPE_CHECKING:
    from flowtell.server.discovery import PluginSpec
    from flowtell.store.store import Store

app = App(name="replay", help="Hand the log to one plugin again.")


@app.default
def replay(
    *,
    plugin: str,
    from_: Annotated[int | None, Parameter(name="--from")] = None,
    yes: bool = False,
    json: Json = False,
) -> None:
    """Hand the log to one plugin again. No server may run on this home meanwhile.

    A projection, such as lineage or prometheus, gets new tables, made from the whole log and put in place of the old
    at once. An effect, such as otlp_traces or webhook, sends again from a place in the log on: it is asked about first,
    and sends when a server runs again.

    Args:
        plugin: Its name, see 'flowtell plugins list'.
        from_: For an effect: the place in the log (`seq`) to begin at.
        yes: Go on without asking.
    """
    from flowtell.server.writing import writing_store

    log_to_stderr()
    config, output = load(), Output(json=json)
    spec = _spec(plugin, config)
    with writing_store(config) as store:
        if _is_effect(spec, config):
            answer = _send_again(spec, store, output, from_, yes=yes, config=config)
        elif from_ is not None:
            raise Misuse(f"'{plugin}' keeps tables, which are made of the whole log; --from is for what sends")
        else:
            answer = _make_anew(spec, store, output, config, yes=yes)
    if json:
        output.print_json(answer)
    else:
        output.print_facts([(name.replace("_", " "), value) for name, value in answer.items()])


def _spec(name: str, config: Config) -> PluginSpec:
    from difflib import get_close_matches

    from flowtell.server.discovery import discover

    specs = {spec.name: spec for spec in discover(config)}
    if name not in specs:
        close = get_close_matches(name, specs, n=1)
        raise Misuse(
            f"There is no plugin '{name}'. {f'Did you mean {close[0]!r}?' if close else 'See flowtell plugins list.'}"
        )
    return specs[name]


def _is_effect(spec: PluginSpec, config: Config) -> bool:
    from flowtell.errors import CannotReplay
    from flowtell.server.discovery import make_plugin

    made = make_plugin(spec, config)
    if made is None:
        raise CannotReplay(spec.name, "it is not configured, so it is off")
    return made.effects


# --- projections --------------------------------------------------------------------------------------------------------


def _make_anew(spec: PluginSpec, store: Store, output: Output, config: Config, *, yes: bool) -> dict[str, str | int]:
    from flowtell.runner import system_clock
    from flowtell.runner.rebuild import Rebuild
    from flowtell.server.discovery import factory_of, settings_of

    _warn_of_what_is_gone(spec, store, output, yes=yes)
    with tempfile.TemporaryDirectory(prefix="replay-", dir=config.home) as folder:
        rebuild = Rebuild(
            spec.name, factory_of(spec, config), store, os.path.join(folder, "new.db"),
            settings=settings_of(spec.name, config), home=config.home, environment=config["environment"],
        )  # fmt: skip
        with closing(rebuild), progress_bar(output, f"replaying {spec.name}") as advance:
            rows = rebuild.run(advance)
            rebuild.swap(system_clock())
            return {"plugin": spec.name, "events": rebuild.seq, "rows": rows}


def _warn_of_what_is_gone(spec: PluginSpec, store: Store, output: Output, *, yes: bool) -> None:
    """What retention has deleted from the log is in no table that is made of it."""
    first = store.log.read(0, 1)
    if first and first[0].seq > 1:
        gone = (
            f"The log begins at event {first[0].seq:,}; what '{spec.name}' knows of the {first[0].seq - 1:,} before is lost."
        )
        _ask(f"{gone} Make its tables anew all the same?", output, yes=yes)


# --- effects ------------------------------------------------------------------------------------------------------------


def _send_again(
    spec: PluginSpec, store: Store, output: Output, begin: int | None, *, yes: bool, config: Config
) -> dict[str, str | int]:
    from flowtell.runner import system_clock
    from flowtell.runner.cursor import Cursor

    if begin is None or begin < 1:
        raise Misuse(f"'{spec.name}' sends: say from which place in the log on, as --from SEQ; see 'flowtell events'")
    cursor = Cursor(spec.name, store)
    cursor.load()
    count = _count(spec, store, config, begin, cursor.seq)
    if cursor.seq < begin:
        raise Misuse(f"'{spec.name}' has sent up to {cursor.seq:,}: from {begin:,} on it sends anyway")
    _ask(
        f"'{spec.name}' sends {count:,} events again, from place {begin:,} to {cursor.seq:,} of the log. Go on?",
        output,
        yes=yes,
    )
    with store.write() as transaction:
        cursor.save(transaction, begin - 1, system_clock())
    return {"plugin": spec.name, "events": count, "from": begin, "to": cursor.seq}


def _count(spec: PluginSpec, store: Store, config: Config, begin: int, end: int) -> int:
    """Events between two places that the plugin wants."""
    from sqlalchemy import func, select

    from flowtell.events import OWN_NAMES
    from flowtell.server.discovery import make_plugin
    from flowtell.store.tables import events

    made = make_plugin(spec, config)
    counted = select(func.count()).select_from(events).where(events.c.seq.between(begin, end))
    if made is not None and made.wants and OWN_NAMES not in made.wants:
        counted = counted.where(events.c.type.in_(tuple(made.wants)))
    return int(store.read(counted)[0][0])


def _ask(question: str, output: Output, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise Misuse(f"{question} Nobody is here to answer: give --yes")
    output.say(f"{question} [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Misuse("nothing was changed")


__all__ = ["app"]
