"""`GET /runs/ID/export.html`: the file, for the browser to keep."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from fastapi import FastAPI, Request, Response

from flowtell.errors import RunNotFound
from flowtell_dashboard.export.document import document
from flowtell_dashboard.settings import Settings

if TYPE_CHECKING:
    from flowtell.store.reading import Read

_NO_NAME: Final = re.compile(r"[^0-9a-zA-Z]+")


def add_export(server: FastAPI, read: Read, clock: Callable[[], int], settings: Settings) -> None:
    """Behind the server's guard like every page; 404 with words where there is no such run."""

    async def export(request: Request) -> Response:
        wanted = request.path_params["run"]
        try:
            made = await asyncio.to_thread(document, read, wanted, clock(), settings)
        except RunNotFound as error:
            return Response(str(error), 404, media_type="text/plain; charset=utf-8")
        name = f"run-{_NO_NAME.sub('', wanted)[:40]}.html"
        kept = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Response(made, media_type="text/html; charset=utf-8", headers=kept)

    server.add_api_route("/runs/{run}/export.html", export, methods=["GET"])
