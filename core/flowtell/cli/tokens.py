"""Make and revoke the tokens that let others use the server."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from flowtell.cli import cells
from flowtell.cli.options import Json
from flowtell.cli.outcome import Misuse
from flowtell.cli.output import Output
from flowtell.config import load
from flowtell.runner import system_clock

if TYPE_CHECKING:
    from flowtell.store.store import Store
    from flowtell.store.tokens import Token

app = App(name="tokens", help="Make and revoke the tokens that let others use the server.")

_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_LONGEST_SECONDS: Final = 100 * 365 * 86_400
_STATES: Final = {"valid": ("✔", "green"), "expired": ("-", "yellow"), "revoked": ("✘", "red")}

Name = Annotated[str, Parameter(help="A name of your choice, such as the machine that gets it.")]


@app.command
def create(name: Name, /, *, scope: tuple[str, ...] = (), expires: str = "", json: Json = False) -> None:
    """Make a token and show it, this once. A server that runs knows it within two seconds.

    Args:
        scope: What it may do: read, ingest, operate (which includes read), admin (everything); several with commas.
        expires: How long it is valid, such as 12h or 90d. Default: until it is revoked.
    """
    from flowtell.store.tokens import create_token

    scopes, now = _scopes(scope), system_clock()
    _check_name(name)
    until = now + _seconds(expires) * cells.SECOND if expires else None
    with _store() as store:
        token, made = create_token(store, name, scopes, now=now, expires=until)
    output = Output(json=json)
    if json:
        output.print_json({**_told(token, now), "token": made})
        return
    output.print_facts([("token", cells.Cell(made, made, "bold", whole=False)), *_facts(token)])
    output.say("It is shown this once; only a digest is kept. From now on every request needs a token, on loopback too.")


@app.command(name="list")
def list_(*, all: bool = False, json: Json = False) -> None:
    """List tokens: their scopes, how long they are valid, when they were used last.

    Args:
        all: Also those that are expired or revoked.
    """
    from flowtell.store.tokens import list_tokens

    now = system_clock()
    with _store() as store:
        found = [token for token in list_tokens(store) if all or token.state(now) == "valid"]
    output = Output(json=json)
    if json:
        output.print_json([_told(token, now) for token in found])
    elif found:
        columns = ("id", "name", "scopes", "state", "created", "expires", "last used")
        output.print_table(columns, [_row(token, now) for token in found])
    else:
        output.say("No valid tokens; 'flowtell tokens create NAME --scope read' makes one.")


@app.command
def revoke(token: str, /, *, json: Json = False) -> None:
    """Revoke a token by its id or name. A server that runs refuses it within two seconds.

    Args:
        token: Its id or name.
    """
    from flowtell.store.tokens import revoke_token

    now = system_clock()
    with _store() as store:
        revoked = revoke_token(store, token, now=now)
    output = Output(json=json)
    if json:
        output.print_json(_told(revoked, now))
    else:
        output.print_facts([("revoked", revoked.name), ("id", _whole(revoked.id))])


@app.command
def clear(*, yes: bool = False, json: Json = False) -> None:
    """Delete every token: a server on loopback is open to this machine again, as before the first one.

    Args:
        yes: Do it.
    """
    from flowtell.store.tokens import clear_tokens

    if not yes:
        raise Misuse("This deletes every token and opens a server on loopback to this whole machine. Say --yes to do it.")
    with _store() as store:
        count = clear_tokens(store)
    output = Output(json=json)
    if json:
        output.print_json({"deleted": count})
    else:
        output.print_facts([("deleted", count)])


@contextmanager
def _store() -> Iterator[Store]:
    from flowtell.store.tokens import token_store

    with token_store(load().store_url) as store:
        yield store


def _scopes(given: Iterable[str]) -> tuple[str, ...]:
    from flowtell.store.tokens import SCOPES

    wanted = {part.strip() for text in given for part in text.split(",") if part.strip()}
    unknown = sorted(wanted - set(SCOPES))
    if unknown or not wanted:
        problem = f"There is no scope '{unknown[0]}'" if unknown else "A token needs a scope"
        raise Misuse(f"{problem}. There are: {', '.join(SCOPES)}.")
    return tuple(scope for scope in SCOPES if scope in wanted)


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise Misuse("A token's name has from 1 to 100 characters that can be printed.")


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})([mhdw])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if not 0 < seconds <= _LONGEST_SECONDS:
        raise Misuse(f"'{text}' is no time: write a number and m, h, d or w, such as 90d.")
    return seconds


def _told(token: Token, now: int) -> dict[str, object]:
    names = ("id", "name", "scopes", "created", "expires", "revoked", "last_used")
    return {**{name: getattr(token, name) for name in names}, "state": token.state(now)}


def _facts(token: Token) -> list[tuple[str, cells.Value]]:
    return [
        ("name", token.name),
        ("id", _whole(token.id)),
        ("scopes", ",".join(token.scopes)),
        ("expires", cells.moment(token.expires)),
    ]


def _row(token: Token, now: int) -> tuple[cells.Value, ...]:
    state = token.state(now)
    sign, style = _STATES[state]
    return (
        _whole(token.id),
        token.name,
        ",".join(token.scopes),
        cells.Cell(state, f"{sign} {state}", style),
        cells.moment(token.created),
        cells.moment(token.expires),
        cells.moment(token.last_used),
    )


def _whole(text: str) -> cells.Cell:
    return cells.Cell(text, text, "bold")
