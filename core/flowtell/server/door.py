"""Who is let in: a pure decision over the head of a request, the tokens that hold, and the rates."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

from flowtell.server.buckets import Buckets, client_key
from flowtell.server.head import Head
from flowtell.server.limits import FAILURES_AT_ONCE, FAILURES_PER_SECOND, Limits
from flowtell.server.login import Login, token_in, tokens_in, without_token
from flowtell.server.origins import known_host, loopback_origin, same_origin
from flowtell.server.refusal import Refusal, busy, too_many, unauthorized
from flowtell.server.scopes import EVERYTHING, INGEST, comes_again_after_503, is_open, is_safe, needed_scope
from flowtell.server.tokens import CONFIGURED, TokenBook

_BURST_SECONDS: Final = 2.0
"""A client that was quiet may send what it may in so many seconds at once."""
_ASK: Final = "a token is needed: 'Authorization: Bearer …', or open /?token=… once in a browser"


class Pass(NamedTuple):
    """Somebody who was let in."""

    client: str
    """Whose rate it is: a token's or an address's."""
    scopes: frozenset[str]
    needed: str
    token: str = ""
    """The token's id; empty for a server that is open to its machine."""


class _Bearer(NamedTuple):
    """Whose token it is, and what it may do."""

    token: str
    scopes: frozenset[str]


class Door:
    """For the server's one loop.

    Args:
        loopback: whether only this machine reaches the server, which then may be open while there are no tokens.
        allowed_hosts: names that a proxy in front is reached by.
    """

    def __init__(
        self,
        tokens: TokenBook,
        limits: Limits,
        *,
        loopback: bool = True,
        allowed_hosts: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tokens = tokens
        self._loopback = loopback
        self._hosts = frozenset(name.lower().rstrip(".") for name in allowed_hosts)
        self._rate = Buckets(limits.per_second, limits.per_second * _BURST_SECONDS, clock=clock)
        self._ingest_rate = Buckets(limits.ingest_per_second, limits.ingest_per_second * _BURST_SECONDS, clock=clock)
        self._failures = Buckets(FAILURES_PER_SECOND, FAILURES_AT_ONCE, clock=clock)

    @property
    def locked(self) -> bool:
        """Whether a token is needed."""
        return not self._loopback or bool(self._hosts) or self.tokens.exist

    def admit(self, head: Head) -> Pass | Login | Refusal:
        """Let a request in, or say why not."""
        outcome = self._admit(head)
        if isinstance(outcome, Refusal) and outcome.status == 429 and comes_again_after_503(head.path):
            return busy(outcome.problem, outcome.headers)
        return outcome

    def _admit(self, head: Head) -> Pass | Login | Refusal:
        address = client_key(head.client)
        if is_open(head.method, head.path, websocket=head.websocket):
            return self._paced(Pass(f"health {address}", frozenset(), ""))
        needed = needed_scope(head.method, head.path, websocket=head.websocket)
        if not self.locked:
            return _stranger(head) or self._paced(Pass(address, EVERYTHING, needed))
        if self._hosts and not known_host(head.host, self._hosts):
            return Refusal(421, "this server does not go by that name; see server.allowed_hosts")
        return self._with_token(head, address, needed)

    def pause(self, passed: Pass) -> float:
        """Seconds that somebody who was let in has to wait before the next request or message; 0 for none."""
        return (self._ingest_rate if passed.needed == INGEST else self._rate).take(passed.client)

    def holds(self, passed: Pass) -> bool:
        """Whether somebody who was let in would be still: the token holds, or the server is open as it was."""
        if passed.token:
            return self.tokens.holds(passed.token)
        return not passed.needed or not self.locked

    def _paced(self, passed: Pass) -> Pass | Refusal:
        wait = self.pause(passed)
        return too_many("too many requests", wait) if wait else passed

    def _with_token(self, head: Head, address: str, needed: str) -> Pass | Login | Refusal:
        login = token_in(head.query) if head.method == "GET" and not head.websocket else ""
        given = [login] if login else _given(head)
        if not given:
            return self._refused(address, unauthorized(_ASK))
        bearer = self._bearer(given, address)
        if isinstance(bearer, Refusal):
            return bearer
        paced = self._paced(Pass(f"token {bearer.token}", bearer.scopes, needed, bearer.token))
        if login and isinstance(paced, Pass):
            return Login(login, without_token(head.path, head.query))
        return paced if isinstance(paced, Refusal) else self._refusal_of(head, paced) or paced

    def _bearer(self, given: list[str], address: str) -> _Bearer | Refusal:
        """Whoever one of these tokens belongs to.

        A token that was made here is always looked up: nobody guesses one. A password that somebody chose as
        `server.token` is compared only as long as the address has failures left.
        """
        for text in given:
            token = self.tokens.find(text)
            if token is not None:
                if self.tokens.stale:
                    return Refusal(503, "the store cannot be read, so no token can be checked", (("Retry-After", "5"),))
                return _Bearer(token.id, self.tokens.scopes(token))
        wait = self._failures.wait(address)
        if (not wait or not self.tokens.configured_is_weak) and any(map(self.tokens.is_configured, given)):
            return _Bearer(CONFIGURED, EVERYTHING)
        wait = self._failures.take(address)
        if wait:
            return too_many("too many wrong tokens", wait)
        return self._refused(address, unauthorized("this token is not valid: unknown, expired or revoked"))

    def _refused(self, address: str, refusal: Refusal) -> Refusal:
        """Refusing costs something too, so it has its rate."""
        wait = self._rate.take(address)
        return too_many("too many requests", wait) if wait else refusal

    def _refusal_of(self, head: Head, passed: Pass) -> Refusal | None:
        """Why somebody with a valid token may not do this."""
        if passed.needed not in passed.scopes:
            return Refusal(403, f"this token lacks the scope '{passed.needed}'")
        by_cookie = not _bearer_header(head)
        if (
            by_cookie
            and (head.websocket or not is_safe(head.method))
            and not same_origin(head.origin or "", head.host, self._hosts)
        ):
            return Refusal(403, "a page of another site may not use this server")
        return None


def _given(head: Head) -> list[str]:
    """Every text that may be a token: the bearer header's, or else the cookies'."""
    bearer = _bearer_header(head)
    return [bearer] if bearer else tokens_in(head.cookie)


def _bearer_header(head: Head) -> str:
    kind, _, text = head.authorization.partition(" ")
    return text.strip() if kind.lower() == "bearer" else ""


def _stranger(head: Head) -> Refusal | None:
    """Why a server that is open to its machine does not answer: somebody beyond it asks, or somebody's page."""
    if head.host and not known_host(head.host, frozenset()):
        return Refusal(421, "this server answers to localhost only; make a token to use another name")
    if head.forwarded:
        return Refusal(421, "a proxy asks for somebody else: make a token, 'flowtell tokens create NAME --scope read'")
    if head.origin is not None and not loopback_origin(head.origin):
        return Refusal(403, "a page of another site may not use this server")
    return None
