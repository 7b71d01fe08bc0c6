"""Show, set and clear the limits on how many runs go on at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import App, Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.config import Config, load
from flowtell.errors import BadLimit
from flowtell.limits.names import checked_limit, checked_name

if TYPE_CHECKING:
    from flowtell.limits.desk import LocalDesk

app = App(name="limits", help="Show, set and clear the limits on how many runs go on at a time.")

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_MOST_SHOWN: Final = 5


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List every limit: what it is, how much of it is held by which runs, how many wait."""
    output, config = Output(json=json), load()
    found = _ask(config, "GET") if config["url"] else _states(config)
    if json:
        output.print_json(found)
        return
    columns = ("limit", "at most", "held", "waiting", "by", "runs")
    output.print_table(columns, [_row(each) for each in found])
    if not found:
        output.say("There are no limits. 'flowtell limits set tag:database 3' makes one.")


def _row(state: dict[str, Any]) -> tuple[cells.Value, ...]:
    runs = list(dict.fromkeys(holder["run"] for holder in state["holders"]))
    shown = ", ".join(cells.short_id(run).shown for run in runs[:_MOST_SHOWN])
    more = f" and {len(runs) - _MOST_SHOWN} more" if len(runs) > _MOST_SHOWN else ""
    return state["name"], state["limit"], state["used"], state["waiting"], state["stated"], shown + more


@app.command(name="set")
def set_(
    name: Annotated[str, Parameter(help="flow:NAME, tag:NAME, or the name that code asks by.")],
    limit: Annotated[int, Parameter(help="How many at a time; 0 lets nothing start.")],
    /,
) -> None:
    """Set a limit. It holds at once, for those who wait too, and goes before what the configuration and code say.

    More that run already are not stopped.
    """
    checked_limit(checked_name(name), limit)
    config = load()
    if config["url"]:
        _ask(config, "POST", {"name": name, "limit": limit})
    else:
        _desk(config).stated.set(name, limit)
    Output().say(f"At most {limit} at a time: {name}.")


@app.command
def clear(name: Annotated[str, Parameter(help="As the list has it.")], /) -> None:
    """Take a limit back that was set. What the configuration or code says holds again.

    Raises:
        BadLimit: none was set by this name.
    """
    config = load()
    if config["url"]:
        changed = bool(_ask(config, "POST", {"name": name, "limit": None}))
    else:
        changed = _desk(config).stated.clear(name)
    if not changed:
        raise BadLimit(name, "no such limit was set; 'flowtell limits list' tells who states one")
    Output().say(f"Cleared {name}.")


def _desk(config: Config) -> LocalDesk:
    from flowtell.limits.desk import LocalDesk
    from flowtell.limits.stated import configured

    return LocalDesk(config.home, configured(config.limits))


def _states(config: Config) -> list[dict[str, Any]]:
    from flowtell.limits.stated import configured
    from flowtell.server.limit_keeper import states_of

    return [msgspec.to_builtins(state) for state in states_of(_desk(config), configured(config.limits))]


def _ask(config: Config, method: str, setting: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What the server elsewhere answers: its limits, or whether something changed."""
    from flowtell.limits.remote import PATH
    from flowtell.shipping.sender import Sender

    sender = Sender(config["url"], config["token"])
    try:
        answer = sender.exchange(PATH, msgspec.json.encode(setting) if setting else b"", _decode, method=method)
    finally:
        sender.close()
    return answer["limits"] if setting is None else [answer] * bool(answer["changed"])
