"""Who holds which limit and who waits for it: pure decisions over plain data, with the clock and the living handed in.

The rules, in this order:

- A run takes all its limits at once or none, so nobody waits with half of them in hand.
- A run inside one that holds a limit uses that one's place, one run at a time; more at once need places of their own. Else
  a task that has its flow's tag would wait for its own flow.
- Whoever is inside a holder goes first, as soon as it fits: holders have to end before anybody else can begin.
- All others go in the order in which they came. Who waits for two limits keeps its turn in both, so none starves, and a
  place may stand empty for a moment because whoever is first in line waits for another one too.
- Whoever died holds nothing and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from flowtell.errors import BadLimit, LimitDeadlock
from flowtell.events import Holder, WaitsOn

FORGOTTEN_AFTER: Final = 30_000_000
"""µs after which one that waits and asks no more has lost its turn."""
SEEN_EVERY: Final = 5_000_000
"""µs after which it is noted that one still asks."""
TOLD_EVERY: Final = 1_000_000
"""µs between two tellings of one limit's use."""

_HANDED_ON: Final = 5_000_000
"""The same while a place is free that somebody waits for: it is as good as taken."""

Alive = Callable[[str], bool]
"""Whether an owner's process lives."""


class Request(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one run asks for."""

    ticket: str
    """Names the asking; asked twice, it is one."""
    owner: str
    """The process: what dies with it is free."""
    run: str = ""
    task_run: str = ""
    limits: dict[str, int | None] = {}
    """By name what the code says; None where it only names the limit, which then has to be stated elsewhere."""
    slots: int = 1
    under: tuple[str, ...] = ()
    """Tickets of the runs around it."""


class Place(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A part of one limit, held."""

    owner: str
    run: str
    since: int
    chain: list[str]
    """Tickets: who took it, and who uses it in turn inside that one; the last is the one that does now."""
    task_run: str = ""
    slots: int = 1


class Turn(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One that waits."""

    request: Request
    seen: int


class Page(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One limit."""

    limit: int
    holders: list[Place] = []
    told: str = ""
    """What was last said of it."""
    told_at: int = 0

    @property
    def used(self) -> int:
        return sum(place.slots for place in self.holders)


class Book(msgspec.Struct, kw_only=True, omit_defaults=True):
    """All limits that anybody holds, and all who wait, in the order in which they came."""

    pages: dict[str, Page] = {}
    waiting: list[Turn] = []
    seen: dict[str, int] = {}
    """When a server last had a sign of life of an owner elsewhere, in µs."""
    closed_until: int = 0
    """Nobody is let in before, in µs: a server that has just taken over hears first who holds what."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a run may go on, and else on what it waits."""

    granted: bool
    on: tuple[WaitsOn, ...] = ()
    error: str = ""
    """Why it never can: `deadlock`, or `too much`."""


class Observation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one limit is used, to be told as an event."""

    name: str
    limit: int
    used: int
    holders: tuple[Holder, ...] = ()


# --- asking and leaving -------------------------------------------------------------------------------------------------


def ask(book: Book, request: Request, limits: Mapping[str, int], now: int) -> Answer:
    """Take the request's limits, or its turn. `limits` are those that hold for it, by name; of others it is free.

    Changes the book. The dead are to be dropped before (`drop_dead`).
    """
    wanted = {name: limits[name] for name in request.limits if name in limits}
    for name, limit in wanted.items():
        book.pages.setdefault(name, Page(limit=limit, holders=[])).limit = limit
    if _holds(book, request.ticket) or not wanted:
        _forget_turn(book, request.ticket)
        return Answer(granted=True)
    if any(0 < limit < request.slots for limit in wanted.values()):
        return Answer(granted=False, error="too much", on=_waits_on(book, request, wanted))
    if now < book.closed_until:
        _note_turn(book, request, now)
        return Answer(granted=False)
    if _may_go(book, request, wanted):
        _forget_turn(book, request.ticket)
        for name in wanted:
            _take(book.pages[name], request, now)
        return Answer(granted=True)
    if request.under and _never(book, request):
        _forget_turn(book, request.ticket)
        return Answer(granted=False, error="deadlock", on=_waits_on(book, request, wanted))
    _note_turn(book, request, now)
    return Answer(granted=False, on=_waits_on(book, request, wanted))


def ask_all(book: Book, requests: Sequence[Request], limits: Mapping[str, int], now: int) -> list[Answer]:
    """`ask` for each, by the stated `limits` and what the code says where none is stated; answers are in the order given.

    Asked is in the order of their turns, which need not be the one given: threads that came at once entered their turns in
    one order and told of them in another. So where one has to wait, so has the next that wants the same, and of thousands
    only the first is looked at.
    """
    answers: dict[str, Answer] = {}
    waits: dict[object, Answer] = {}
    for request in _in_turn(book, requests):
        kind = (tuple(request.limits), request.slots, request.under)
        answer = waits.get(kind) if not request.under else None
        if answer is None:
            answer = ask(book, request, _that_hold(request, limits), now)
        else:
            _note_turn(book, request, now)
        if not answer.granted and not answer.error:
            waits[kind] = answer
        answers[request.ticket] = answer
    return [answers[request.ticket] for request in requests]


def _in_turn(book: Book, requests: Sequence[Request]) -> Sequence[Request]:
    """In the order of their turns; those that have none yet come last, as given."""
    if len(requests) < 2:
        return requests
    turns = {turn.request.ticket: number for number, turn in enumerate(book.waiting)}
    return sorted(requests, key=lambda request: turns.get(request.ticket, len(turns)))


def _that_hold(request: Request, stated: Mapping[str, int]) -> dict[str, int]:
    """The limits that hold for a request: what is stated goes before what the code says."""
    found = {name: stated.get(name, code) for name, code in request.limits.items()}
    return {name: limit for name, limit in found.items() if limit is not None}


def restore(book: Book, requests: Iterable[Request], limits: Mapping[str, int], now: int) -> None:
    """These say that they hold what they asked for: note it where the book does not know, whatever the limit."""
    for request in requests:
        for name, limit in _that_hold(request, limits).items():
            page = book.pages.setdefault(name, Page(limit=limit, holders=[]))
            if not any(request.ticket in place.chain for place in page.holders):
                _take(page, request, now)


def leave(book: Book, tickets: Iterable[str], owner: str = "") -> None:
    """Give back what these hold, and their turns; of `owner` alone, where it is given. Others' tickets are passed over."""
    gone = set(tickets)
    book.waiting = [
        turn for turn in book.waiting if turn.request.ticket not in gone or owner not in ("", turn.request.owner)
    ]
    for page in book.pages.values():
        if any(gone.intersection(place.chain) for place in page.holders):
            page.holders = [place for place in page.holders if not _gives_back(place, gone, owner)]


def _leaves(request: Request, gone: set[str], owner: str) -> bool:
    return request.ticket in gone and owner in ("", request.owner)


def _gives_back(place: Place, gone: set[str], owner: str) -> bool:
    """Whether the place is free now; else who uses it inside another gives it back to that one."""
    if owner and place.owner != owner:
        return False
    if place.chain[0] in gone:
        return True
    place.chain = [ticket for ticket in place.chain if ticket not in gone]
    return False


def drop_dead(book: Book, alive: Alive, now: int) -> set[str]:
    """Free what the dead held. Returns their owners."""
    owners = {place.owner for page in book.pages.values() for place in page.holders}
    owners |= {turn.request.owner for turn in book.waiting}
    dead = {owner for owner in owners if not alive(owner)}
    if dead:
        for page in book.pages.values():
            page.holders = [place for place in page.holders if place.owner not in dead]
    forgotten = {turn.request.ticket for turn in book.waiting if abs(now - turn.seen) > FORGOTTEN_AFTER}
    if dead or forgotten:
        book.waiting = [
            turn for turn in book.waiting if turn.request.owner not in dead and turn.request.ticket not in forgotten
        ]
    for owner in book.seen.keys() - owners | dead & book.seen.keys():
        del book.seen[owner]
    return dead


def note_seen(book: Book, owners: Iterable[str], now: int) -> None:
    """These processes elsewhere live, as a server tells: whoever reads the book beside it cannot see that."""
    for owner in owners:
        if abs(now - book.seen.get(owner, 0)) > SEEN_EVERY:
            book.seen[owner] = now


def refuse(request: Request, answer: Answer) -> None:
    """Raise what an answer says that never can be granted.

    Raises:
        LimitDeadlock, BadLimit
    """
    names = tuple(one.name for one in answer.on)
    if answer.error == "deadlock":
        raise LimitDeadlock(names, tuple(run for one in answer.on for run in one.runs))
    if answer.error:
        raise BadLimit(", ".join(names), f"{request.slots} are asked for at once, which is more than there are")


# --- who may go ---------------------------------------------------------------------------------------------------------


def _holds(book: Book, ticket: str) -> bool:
    return any(ticket in place.chain for page in book.pages.values() for place in page.holders)


def _may_go(book: Book, request: Request, wanted: Mapping[str, int]) -> bool:
    free = {name: page.limit - page.used for name, page in book.pages.items()}
    if not request.under:
        for ahead in _ahead(book, request):
            for name in _needs(book, ahead):
                free[name] = free.get(name, 0) - ahead.slots
    return all(free[name] >= request.slots for name in _needs(book, request) if name in wanted)


def _ahead(book: Book, request: Request) -> Iterator[Request]:
    """Those whose turn is before."""
    came = True
    for turn in book.waiting:
        if turn.request.ticket == request.ticket:
            came = False
        elif turn.request.under or came:
            yield turn.request


def _needs(book: Book, request: Request) -> list[str]:
    """The limits of which it needs a place of its own."""
    return [name for name in request.limits if name in book.pages and _lent(book.pages[name], request) is None]


def _lent(page: Page, request: Request) -> Place | None:
    """The place around it that it can use: nobody else inside does."""
    for place in page.holders:
        if place.chain[-1] in request.under and request.slots <= place.slots:
            return place
    return None


def _take(page: Page, request: Request, now: int) -> None:
    lent = _lent(page, request)
    if lent is not None:
        lent.chain.append(request.ticket)
        return
    page.holders.append(
        Place(
            owner=request.owner, run=request.run, task_run=request.task_run, since=now, chain=[request.ticket],
            slots=request.slots,
        )
    )  # fmt: skip


def _never(book: Book, request: Request) -> bool:
    """Whether it waits for holders all of which wait, in the end, for it.

    A place becomes free once those who wait inside it were let in; one who waits is let in once some place of each limit
    that it needs becomes free. What is not found free by going round until nothing changes never is.
    """
    asking = [request, *(turn.request for turn in book.waiting if turn.request.ticket != request.ticket)]
    inside = [one for one in asking if one.under]
    stuck = {one.ticket for one in inside}
    while True:
        let_in = {one.ticket for one in inside if one.ticket in stuck and _has_way(book, one, inside, stuck)}
        if not let_in:
            return request.ticket in stuck
        stuck -= let_in


def _has_way(book: Book, one: Request, inside: Sequence[Request], stuck: set[str]) -> bool:
    return all(_may_become_free(book.pages[name], one, inside, stuck) for name in _needs(book, one))


def _may_become_free(page: Page, one: Request, inside: Sequence[Request], stuck: set[str]) -> bool:
    waits = [other.under for other in inside if other.ticket in stuck]
    ending = [place for place in page.holders if not any(set(place.chain) & set(under) for under in waits)]
    if page.limit == 0:  # somebody closed it, and may open it
        return True
    return page.limit - page.used + sum(place.slots for place in ending) >= one.slots or any(
        set(place.chain) & set(one.under) and place not in ending and _lends(place, one, waits) for place in page.holders
    )


def _lends(place: Place, one: Request, waits: Sequence[tuple[str, ...]]) -> bool:
    """Whether who uses the place around it now ends without it, and so lends it on."""
    inner = place.chain[place.chain.index(next(ticket for ticket in reversed(place.chain) if ticket in one.under)) + 1 :]
    return one.slots <= place.slots and not any(set(inner) & set(under) for under in waits)


def _forget_turn(book: Book, ticket: str) -> None:
    if any(turn.request.ticket == ticket for turn in book.waiting):
        book.waiting = [turn for turn in book.waiting if turn.request.ticket != ticket]


def _note_turn(book: Book, request: Request, now: int) -> None:
    for turn in book.waiting:
        if turn.request.ticket == request.ticket:
            if now - turn.seen > SEEN_EVERY:
                turn.seen = now
            turn.request = request
            return
    book.waiting.append(Turn(request=request, seen=now))


def _waits_on(book: Book, request: Request, wanted: Mapping[str, int]) -> tuple[WaitsOn, ...]:
    """The limits that keep it, each with the runs that hold it; where a place is free, also those whose turn is before."""
    full = [name for name in wanted if book.pages[name].used >= book.pages[name].limit]
    ahead = [] if full else [one for one in _ahead(book, request) if one.limits.keys() & wanted.keys()]
    names = full or [name for name in wanted if any(name in one.limits for one in ahead)] or list(wanted)
    return tuple(
        WaitsOn(kind="limit", name=name, runs=tuple(dict.fromkeys(_runs(book.pages[name], name, ahead)))) for name in names
    )


def _runs(page: Page, name: str, ahead: Sequence[Request]) -> Iterator[str]:
    yield from (place.run for place in page.holders)
    yield from (one.run for one in ahead[: page.limit] if name in one.limits)


# --- what is told -------------------------------------------------------------------------------------------------------


def observe(book: Book, now: int, limits: Mapping[str, int] | None = None) -> list[Observation]:
    """What changed since it was last told, at most once a second for each limit, but at once where it became free.

    Changes the book: it counts as told. Limits that nobody holds or waits for, and of which that was told, are dropped.
    """
    found = []
    for name, page in list(book.pages.items()):
        if limits and name in limits:
            page.limit = limits[name]
        awaited = any(name in turn.request.limits for turn in book.waiting)
        held = _said(page)
        if held != page.told and abs(now - page.told_at) >= _told_after(page, awaited=awaited):
            page.told, page.told_at = held, now
            found.append(observation(name, page))
        if not page.holders and page.told == held and not awaited:
            del book.pages[name]
    return found


def _told_after(page: Page, *, awaited: bool) -> int:
    """µs that a change waits to be told: none where nobody holds it any more; long between one holder and the next."""
    if awaited and page.used < page.limit:
        return _HANDED_ON
    return TOLD_EVERY if page.holders else 0


def observation(name: str, page: Page) -> Observation:
    holders = tuple(Holder(run=place.run, since=place.since, task_run=place.task_run) for place in page.holders)
    return Observation(name=name, limit=page.limit, used=page.used, holders=holders)


def _said(page: Page) -> str:
    return f"{page.limit} {' '.join(place.chain[0] for place in page.holders)}"
