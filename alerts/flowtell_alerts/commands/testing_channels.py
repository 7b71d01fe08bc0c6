"""`flowtell alerts test`: a message through the way that real ones take."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flowtell.cli.options import Json
from flowtell.cli.session import Session, open_session
from flowtell.events import ActionDone, Event, NotificationFailed, NotificationSent
from flowtell_alerts._settings import settings_of
from flowtell_alerts.asked import TEST
from flowtell_alerts.commands.asking import answer, ask
from flowtell_alerts.errors import ChannelTestFailed


def try_channel(
    channel: Annotated[str, Parameter(help="Name of one channel; all of the configuration unless it is given.")] = "",
    /,
    *,
    timeout: Annotated[float, Parameter(help="Seconds to wait for each answer.")] = 30.0,
    json: Json = False,
) -> None:
    """Send a test message by the running server, as it sends real ones, and print what came back.

    One attempt: what a channel does not take now is said here, with what to mend.
    """
    with open_session(json=json) as session:
        names = [channel] if channel else _configured(session)
        failures = [failure for name in names if (failure := _tested(session, name, timeout))]
        for failure in failures[:-1]:
            session.say(str(failure))
        if failures:
            raise failures[-1]
        if not names:
            session.say("No channel is configured. Add one to flowtell.toml, such as [channel.ops], see docs/channels.")


def _configured(session: Session) -> list[str]:
    settings = session.config.plugin("notifications")
    own = {key: value for key, value in settings.items() if not key.startswith("isolate") and key != "values"}
    return [offer.make().name for offer in settings_of(own).channels]


def _tested(session: Session, name: str, timeout: float) -> ChannelTestFailed | None:
    asked = ask(session, TEST, name)
    told = answer(session, asked, _is_answer, what=f"sent a test to '{name}'", seconds=timeout)
    if session.json:
        session.print_json(told)
    if isinstance(told, NotificationSent):
        session.say(f"Channel '{name}' took the test message{_receipt(told)}.")
        return None
    problem = told.error.message if told.error else "no reason given"
    return ChannelTestFailed(name, problem)


def _is_answer(event: Event) -> bool:
    """Sent or not; or that there is no such channel. That it was queued is no answer yet."""
    if isinstance(event, ActionDone):
        return event.outcome == "failed"
    return isinstance(event, NotificationSent | NotificationFailed)


def _receipt(told: NotificationSent) -> str:
    receipt = told.receipt
    parts = [part for part in (receipt.id, receipt.thread, receipt.url) if part] if receipt else []
    return f" (receipt: {', '.join(parts)})" if parts else ""


__all__ = ["try_channel"]
