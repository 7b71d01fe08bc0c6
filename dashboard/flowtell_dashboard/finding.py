"""What the command palette finds: runs by their id, flows and assets by a part of their name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec
from fastapi import FastAPI, Request, Response
from sqlalchemy.exc import DBAPIError

from flowtell.errors import RunNotFound
from flowtell.store.reading import get_run, list_flows
from flowtell_dashboard.flows.page import address as flow_address
from flowtell_dashboard.lineage.question import address as asset_address
from flowtell_dashboard.states import look
from flowtell_dashboard.timeline.index import Index

if TYPE_CHECKING:
    from flowtell.store.reading import Read

SHOWN: Final = 8
"""Of each kind."""
LONGEST: Final = 200
_FLOWS: Final = 2_000


class Found(msgspec.Struct, frozen=True):
    """Somewhere to go."""

    kind: str
    label: str
    href: str
    more: str = ""
    state: str = ""


def find(read: Read, index: Index, text: str) -> list[Found]:
    """The best first. Without a text nothing: pages are known to whoever asks."""
    wanted = text.strip()[:LONGEST]
    return [*_run(read, wanted), *_flows(read, index, wanted), *_assets(read, wanted)] if wanted else []


def _run(read: Read, wanted: str) -> Iterator[Found]:
    """The one run whose id, trace or span begins like this."""
    try:
        run = get_run(read, wanted)
    except RunNotFound:
        return
    label = " ".join(part for part in (run.flow, run.name) if part)
    yield Found("run", label or run.id, f"/runs/{run.id}", f"{look(run.state).word} · {run.id[:12]}…", run.state)


def _flows(read: Read, index: Index, wanted: str) -> list[Found]:
    """What is declared or has run; names that begin with the text come first."""
    with index.lock:
        known = {(kind.flow, kind.environment) for kind in index.kinds.all if kind.flow}
    known |= {(flow.flow, flow.environment) for flow in list_flows(read, limit=_FLOWS)}
    low = wanted.lower()
    fits = [(not flow.lower().startswith(low), flow, environment) for flow, environment in known if low in flow.lower()]
    return [
        Found("flow", flow, flow_address(flow, environment), environment) for _, flow, environment in sorted(fits)[:SHOWN]
    ]


def _assets(read: Read, wanted: str) -> list[Found]:
    """None where the distribution is missing, or switched off and so without tables."""
    try:
        from flowtell_lineage.catalogue import catalogue

        found = [entry.asset for entry in catalogue(read, text=wanted, limit=SHOWN)]
    except (ImportError, DBAPIError):
        return []
    return [Found("asset", one.name or one.asset, asset_address(one.asset), one.asset if one.name else "") for one in found]


def add_find(server: FastAPI, read: Read, index: Index) -> None:
    """`GET /_find?text=…`, behind the server's guard like every page."""

    async def answer(request: Request) -> Response:
        found = await asyncio.to_thread(find, read, index, request.query_params.get("text", ""))
        return Response(msgspec.json.encode(found), media_type="application/json", headers={"cache-control": "no-store"})

    server.add_api_route("/_find", answer, methods=["GET"])
