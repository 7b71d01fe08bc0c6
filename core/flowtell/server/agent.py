"""The agent: ships every journal of a home to a server elsewhere, and sees by their locks which writers have ended.

No store and no plugins. It holds the ingest role, so that nobody else takes the same journals in.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from flowtell.config import Config
from flowtell.errors import ServerUnreachable, ShippingError, ShippingRefused
from flowtell.ids import new_id
from flowtell.journal import FOLDER, SUFFIX
from flowtell.server.mirrors import FOLDER as MIRRORS
from flowtell.server.role import server_role
from flowtell.shipping.file import JournalFile, NoJournal
from flowtell.shipping.lifeline import Lifeline
from flowtell.shipping.sender import Address, Backoff, Sender
from flowtell.shipping.shipment import Shipment

AGENT: Final = "agent shipping to"
"""How the holder of the ingest role is named where it is one."""
_ROUND_SECONDS: Final = 0.2
_PROBE_SECONDS: Final = 0.25
_STUCK_SECONDS: Final = 30.0
_THAT_ONE_ONLY: Final = frozenset({400, 409, 413})
"""Answers that speak of one journal, and not of the server."""

Say = Callable[[str], None]


def run_agent(config: Config, say: Say) -> None:
    """Ship until interrupted, then end in order.

    Raises:
        NoServerNamed: no address to ship to.
        RoleTaken: a server or another agent works on this home.
    """
    agent = Agent(config, say)
    with server_role(config.home, name=f"{AGENT} {agent.urls}"):
        say(f"Ships the journals of {config.home} to {agent.urls}. Ctrl-C stops it.")
        agent.start()
        try:
            threading.Event().wait()
        finally:
            agent.stop()


class _Parcel:
    """One journal on its way, and whether its writer has ended.

    Args:
        agent: who speaks for the writer; empty for a mirror, whose writer is somewhere else and speaks for itself.
    """

    def __init__(self, file: JournalFile, agent: str) -> None:
        self.file, self.shipment = file, Shipment(file, agent or file.header.writer)
        self.vouched = bool(agent)
        self.ended = False
        self.told: Address | None = None
        """The server that knows that this agent speaks for the writer."""
        self.rests_until = self._probe_at = 0.0

    def probe(self, now: float) -> None:
        """See by the lock whether the writer lives."""
        if self.vouched and not self.ended and now >= self._probe_at:
            self._probe_at = now + _PROBE_SECONDS
            self.ended = self.file.take_lock() or self.file.writer_gone()

    @property
    def delivered(self) -> bool:
        """Whether the log has all of it, and knows that no more will come."""
        return (self.shipment.said_farewell or not self.vouched) and self.shipment.all_logged()


class Agent:
    """One thread between `start` and `stop`.

    Args:
        url: the server to ship to; `url` of the configuration where it is not given.
        mirrors: whether to bring what was shipped to this home, when it was a server's, rather than its own journals.
    """

    def __init__(self, config: Config, say: Say, *, url: str = "", mirrors: bool = False) -> None:
        self._folder = os.path.join(config.home, MIRRORS if mirrors else FOLDER)
        self._exit_seconds: float = config["shipping.exit_seconds"]
        self._heartbeat: float = config["shipping.heartbeat_seconds"]
        self._say, self._id, self._vouches = say, new_id(), not mirrors
        self._sender = Sender(url or config["url"], config["token"] or config["server.token"])
        self.urls = ", ".join(self._sender.urls)
        self._lifeline = Lifeline(self._id)
        self._backoff = Backoff()
        self._parcels: dict[str, _Parcel] = {}
        self._asked_at = 0.0
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flowtell-agent", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is there, say that it will be back, and end: within `shipping.exit_seconds`."""
        self._sender.until = time.monotonic() + self._exit_seconds
        self._stop.set()
        self._thread.join(self._exit_seconds)

    # --- the thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        wait = 0.0
        while not self._stop.wait(wait):
            wait = self._guarded(self._round)
        self._guarded(self._leave)

    def _guarded(self, work: Callable[[], float]) -> float:
        try:
            wait = work()
        except ShippingError as error:
            self._tell(str(error))
            return self._backoff.fail(self._heartbeat, error.retry_after if isinstance(error, ShippingRefused) else 0.0)
        except Exception as error:  # noqa: BLE001  # a slip, or a disk: the journals stay, and it is tried again
            self._tell(f"Shipping failed ({type(error).__name__}: {error}); it is tried again.")
            return _STUCK_SECONDS
        if self._trouble:
            self._say(f"The server at {self._sender.address.url} takes events again.")
            self._trouble = ""
        self._backoff.succeed()
        return wait

    def _tell(self, problem: str) -> None:
        if problem != self._trouble:
            self._say(problem)
            self._trouble = problem

    def _round(self) -> float:
        self._look()
        if self._vouches:
            self._lifeline.keep(self._sender)
        moved = False
        for name, parcel in list(self._parcels.items()):
            if time.monotonic() >= parcel.rests_until:
                moved |= self._forward(parcel)
            if parcel.delivered or parcel.shipment.local:
                self._put_away(name, parcel)
            if self._stop.is_set():
                break
        if not moved and self._vouches:
            self._give_sign()
        return 0.0 if moved else _ROUND_SECONDS

    def _look(self) -> None:
        """Take up journals that are new."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        for name in sorted(names):
            if name.endswith(SUFFIX) and not name.startswith(".") and name not in self._parcels:
                try:
                    file = JournalFile(os.path.join(self._folder, name))
                except (OSError, NoJournal):
                    continue
                self._parcels[name] = _Parcel(file, self._id if self._vouches else "")

    def _forward(self, parcel: _Parcel) -> bool:
        """One request for one journal, where there is anything to say. Whether anything moved."""
        shipment = parcel.shipment
        parcel.probe(time.monotonic())
        try:
            if shipment.said_farewell or (parcel.told and not parcel.vouched and not shipment.has_more()):
                shipment.look(self._sender)
                return False
            if not (shipment.has_more() or parcel.ended or parcel.told != self._sender.address):
                return False
            moved = shipment.send(self._sender, last=parcel.ended)
            parcel.told, self._asked_at = self._sender.address, time.monotonic()
            return moved
        except ShippingRefused as error:
            if error.status not in _THAT_ONE_ONLY:
                raise
            self._say(f"{parcel.file.path}: {error}")
            parcel.rests_until = time.monotonic() + _STUCK_SECONDS
            return False

    def _give_sign(self) -> None:
        """Where a proxy holds no stream open, requests alone say that this agent lives; one speaks for all."""
        for parcel in self._living():
            if time.monotonic() - self._asked_at >= parcel.shipment.heartbeat / 2:
                self._asked_at = time.monotonic()
                parcel.shipment.send(self._sender)
            return

    def _living(self) -> Iterator[_Parcel]:
        return (parcel for parcel in self._parcels.values() if not parcel.ended)

    def _put_away(self, name: str, parcel: _Parcel) -> None:
        if not parcel.shipment.local:
            parcel.file.delete()
        elif not parcel.ended:  # the server reads it from its own disk: nothing to do until it is deleted there
            parcel.rests_until = time.monotonic() + _STUCK_SECONDS
            return
        parcel.file.close()
        del self._parcels[name]

    def _leave(self) -> float:
        try:
            if not self._trouble:
                self._round()
            if self._vouches:
                self._sender.leave(self._id)
            self._say("Stopped. What is not shipped yet stays; start the agent again to go on.")
        except (ServerUnreachable, ShippingRefused):
            self._say("Stopped, without telling the server, which cannot be reached.")
        finally:
            self._lifeline.close()
            self._sender.close()
            for parcel in self._parcels.values():
                parcel.file.close()
        return 0.0
