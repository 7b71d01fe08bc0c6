"""What other distributions know of why: about assets and incidents, and who is hit.

An entry point of the group `flowtell.explainers` names what makes, without arguments, an object with the two methods of
`Explainer`. It is asked in a reading command and in the server, on any thread, and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final, Protocol

from msgspec import Struct
from sqlalchemy.exc import DBAPIError

from flowtell.store.reading import Read
from flowtell.why.answer import Fact, Hit

GROUP: Final = "flowtell.explainers"


class Found(Struct, frozen=True, kw_only=True):
    """What an explainer knows of a subject of its own, and with what the chain goes on."""

    subject: str
    """Such as `asset s3://lake/orders`."""
    facts: tuple[Fact, ...] = ()
    run: str = ""
    """The run to ask next; where it is empty, the flow's or deployment's, or that of another subject."""
    flow: str = ""
    deployment: str = ""
    environment: str = ""
    due: int | None = None
    """For which there should be a run of that flow."""
    next: str = ""
    """Another explainer's subject."""
    well: bool = False
    """Whether nothing is wrong by these facts: what is wrong further on is then the first cause."""


class Explainer(Protocol):
    """One that is asked about what it has no tables for raises what its driver does: it is passed over then."""

    def about(self, read: Read, wanted: str, at: int) -> Found | None:
        """What stands of a subject of its own at the moment `at`; None where it has none of that name."""
        ...

    def impact(self, read: Read, assets: Sequence[str], at: int) -> Sequence[Hit]:
        """What is made of these assets, themselves at distance 0, the nearest first and bounded."""
        ...


@cache
def explainers() -> tuple[Explainer, ...]:
    """Those that are installed, by name."""
    from importlib.metadata import entry_points

    return tuple(entry.load()() for entry in sorted(entry_points(group=GROUP)))


def about(read: Read, wanted: str, at: int) -> Found | None:
    """The first that knows it."""
    return next(_answers(read, wanted, at), None)


def _answers(read: Read, wanted: str, at: int) -> Iterator[Found]:
    for explainer in explainers():
        try:
            found = explainer.about(read, wanted, at)
        except DBAPIError:  # its plugin has never run here: it has no tables
            continue
        if found is not None:
            yield found


def impact(read: Read, assets: Iterable[str], at: int) -> tuple[Hit, ...]:
    """Of all that know; the assets alone where nobody does."""
    made = sorted(assets)
    if not made:
        return ()
    for explainer in explainers():
        try:
            hits = explainer.impact(read, made, at)
        except DBAPIError:
            continue
        if hits:
            return tuple(hits)
    return tuple(Hit(asset=asset, distance=0) for asset in made)
