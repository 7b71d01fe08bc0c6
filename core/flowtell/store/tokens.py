"""Tokens: how one is made, and the table that knows them by a digest.

A token is 256 bits of the system's generator. Nobody can guess or enumerate those, so one round of SHA-256 hides them as
well as a slow, salted hash would, which exists for passwords that people choose; and it is found by an index, at the
cost of a microsecond a request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from os.path import exists
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Connection, delete, insert, inspect, make_url, or_, select, update
from sqlalchemy.exc import IntegrityError

from flowtell.errors import StoreTooOld, TokenNameTaken, TokenNotFound
from flowtell.store import open_store
from flowtell.store.tables import tokens

if TYPE_CHECKING:
    from flowtell.store.store import Store

SCOPES: Final = ("read", "ingest", "operate", "admin")
_BYTES: Final = 32
_SHAPE: Final = re.compile(r"ft_[A-Za-z0-9_-]{43}")


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token; not the token. Moments in µs."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: int
    expires: int | None = None
    revoked: int | None = None
    last_used: int | None = None

    def state(self, now: int) -> str:
        """`valid`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


def new_token() -> str:
    """A fresh token; its prefix lets people and secret scanners recognise it."""
    return f"ft_{secrets.token_urlsafe(_BYTES)}"


def is_made(text: str) -> bool:
    """Whether a text has the shape of a token that was made here, rather than chosen by somebody."""
    return _SHAPE.fullmatch(text) is not None


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def token_store(url: str) -> Iterator[Store]:
    """The store, with the table in it, for one short command; a server that runs on it goes on meanwhile."""
    store = open_store(url)
    try:
        make_table(store)
        yield store
    finally:
        store.close()


def make_table(store: Store) -> None:
    """For a store that was made before there were tokens."""
    if not _has_table(store):
        with store.write() as transaction:
            tokens.create(transaction.connection, checkfirst=True)


def create_token(
    store: Store, name: str, scopes: Iterable[str], *, now: int, expires: int | None = None
) -> tuple[Token, str]:
    """Make a token; the second value is the token itself, which cannot be shown again.

    Raises:
        TokenNameTaken: one that is not revoked has this name.
    """
    made = new_token()
    token = Token(id=secrets.token_hex(6), name=name, scopes=tuple(scopes), created=now, expires=expires)
    row = {
        **{key: getattr(token, key) for key in ("id", "name", "created", "expires")},
        "scopes": ",".join(token.scopes),
        "digest": digest(made),
    }
    try:
        with store.write() as transaction:
            transaction.connection.execute(insert(tokens).values(row))
    except IntegrityError:  # of all that is unique here only the name was chosen
        raise TokenNameTaken(name) from None
    return token, made


def revoke_token(store: Store, wanted: str, *, now: int) -> Token:
    """Revoke the token with this id or name, or the token itself; one that is revoked already stays as it is.

    Raises:
        TokenNotFound: there is none.
    """
    with store.write() as transaction:
        found = _wanted(transaction.connection, wanted)
        if found is None:
            raise TokenNotFound("ft_…" if is_made(wanted) else wanted)
        if found.revoked is not None:
            return found
        transaction.connection.execute(update(tokens).where(tokens.c.id == found.id).values(revoked=now))
    return msgspec.structs.replace(found, revoked=now)


def _wanted(connection: Connection, wanted: str) -> Token | None:
    """One that is not revoked before one that is, the newest first."""
    by_any = or_(tokens.c.id == wanted, tokens.c.name == wanted, tokens.c.digest == digest(wanted))
    choice = select(*_COLUMNS).where(by_any)
    row = connection.execute(choice.order_by(tokens.c.revoked.is_not(None), tokens.c.created.desc()).limit(1)).first()
    return None if row is None else _token(row)


def clear_tokens(store: Store) -> int:
    """Delete every token, as if there never had been one. How many there were."""
    with store.write() as transaction:
        return transaction.connection.execute(delete(tokens)).rowcount


def note_used(store: Store, moments: dict[str, int]) -> None:
    """When tokens were used last, by id."""
    with store.write() as transaction:
        for one, moment in moments.items():
            transaction.connection.execute(update(tokens).where(tokens.c.id == one).values(last_used=moment))


_COLUMNS: Final = tuple(tokens.c[name] for name in ("id", "name", "scopes", "created", "expires", "revoked", "last_used"))


def list_tokens(store: Store) -> list[Token]:
    """Every token, the newest first."""
    return [_token(row) for row in store.read(select(*_COLUMNS).order_by(tokens.c.created.desc(), tokens.c.id))]


def tokens_by_digest(store: Store) -> dict[str, Token]:
    """Every token, also those that are not valid any more."""
    return {row.digest: _token(row) for row in store.read(select(*_COLUMNS, tokens.c.digest))}


def any_valid(url: str, now: int) -> bool:
    """Whether a store has a token that is valid."""
    return any(token.state(now) == "valid" for token in read_tokens(url))


def read_tokens(url: str) -> list[Token]:
    """Every token of a store that need not exist yet; nothing is written."""
    if url.startswith("sqlite") and not exists(make_url(url).database or ""):
        return []
    try:
        store = open_store(url, read_only=True)
    except StoreTooOld as error:
        if error.found:
            raise
        return []  # an empty database
    try:
        return list_tokens(store) if _has_table(store) else []
    finally:
        store.close()


def _has_table(store: Store) -> bool:
    with store.reading() as connection:
        return inspect(connection).has_table(tokens.name)


def _token(row: Any) -> Token:
    found = {column.name: row._mapping[column.name] for column in _COLUMNS}
    return Token(**{**found, "scopes": tuple(row.scopes.split(","))})
