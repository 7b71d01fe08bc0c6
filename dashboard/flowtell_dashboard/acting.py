"""What a reader of a run's page may do to the run, as `assets/actions.js` offers it; and who may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dash import html
from fastapi import FastAPI, Request

from flowtell.answers.asked import open_questions
from flowtell_dashboard.pieces import attributes

if TYPE_CHECKING:
    from flowtell.store.reading import Read, Run

QUESTIONS: Final = 20
"""Open questions that a page has a form for."""

OPERATE: Final = "operate"


def acts(read: Read, run: Run) -> dict[str, Any]:
    """Whether the run can be cancelled from here, and what it asks."""
    asked = open_questions(read, run.id)[:QUESTIONS] if run.state == "paused" and not run.source else []
    return {"run": run.id, "cancel": can_cancel(run), "questions": [one._asdict() for one in asked]}


def can_cancel(run: Run) -> bool:
    """As far as the log tells; the server that is asked looks at the process too."""
    return run.ended is None and not run.source and run.root_run in ("", run.id) and run.state != "scheduled"


def cancel_button(run: Run) -> list[Any]:
    """Opens the form; a reader is told what it takes."""
    if not can_cancel(run):
        return []
    button = html.Button("Cancel …", className="plain small", **attributes(data_act="cancel-form", data_needs=OPERATE))
    return [button, needs("To cancel it")]


def needs(what: str) -> Any:
    """For whoever may only read."""
    return html.Span(f"{what} takes a token of scope {OPERATE}.", className="needs")


def add_may(server: FastAPI) -> None:
    """`GET /_may`: whether whoever asks may change something. Each route that does asks again."""

    async def may(request: Request) -> dict[str, bool]:
        return {OPERATE: OPERATE in request.scope.get("flowtell.scopes", ())}

    server.add_api_route("/_may", may, methods=["GET"])
