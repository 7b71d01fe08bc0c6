"""The server without its HTTP: it leads, or stands by until it may."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.exc import DBAPIError

from flowtell.config import Config
from flowtell.errors import FlowtellError, PluginRefused
from flowtell.ids import new_id
from flowtell.plugin import PluginStatus
from flowtell.runner import Runner, system_clock
from flowtell.server.answering import Answering
from flowtell.server.cancelling import CancellingRuns
from flowtell.server.check_ins import CheckIns
from flowtell.server.discovery import make_runners
from flowtell.server.feeding import Feeding
from flowtell.server.forwarding import Forwarding
from flowtell.server.ingest import Ingester, Shipped
from flowtell.server.leading import Leading
from flowtell.server.limit_keeper import LimitKeeper
from flowtell.server.mirrors import Mirrors
from flowtell.server.mounts import Mounts
from flowtell.server.presence import Presence
from flowtell.server.standby import Standby
from flowtell.server.tokens import TokenBook
from flowtell.source import SourceStatus
from flowtell.store import open_store
from flowtell.store.lease import Lease
from flowtell.store.store import Store

_COLLECT_AFTER: Final = 50_000
"""Containers made before the collector looks for cycles: a batch makes thousands, none in a cycle (3 to 10 % of time)."""
READY_LAG_SECONDS: Final = 30.0
_STEP_DOWN_SECONDS: Final = 2.0
"""How long plugins may take to let go when another server has taken over."""
_TAKE_OVER_SECONDS: Final = 0.5
"""The same for a standby that leads now: the server that it forwarded to may hang, and nobody is served meanwhile."""

logger = logging.getLogger("flowtell.server")


class Service:
    """Belongs to the process that holds the ingest role of its home.

    On a store that several servers share it leads while it holds the lease, else it stands by. On any other it leads.
    """

    def __init__(self, config: Config, clock: Callable[[], int] = system_clock, *, address: str = "") -> None:
        self.config, self.clock = config, clock
        self._session = new_id()
        self.store: Store = self._open_store()
        """Another one after each change of role: whoever is left over from the last writes to that, and is fenced off."""
        self.lease: Lease | None = self.store.database.lease(address=address, seconds=config["server.lease_seconds"])
        self.tokens = TokenBook(lambda: self.store, config["server.token"], clock)
        self.presence = Presence(config["shipping.heartbeat_seconds"], config["shipping.agent_grace_seconds"], clock)
        self.mirrors = self._open_mirrors()
        self.runners: list[Runner] = []
        self.refused: Sequence[PluginRefused] = ()
        self.mounts = Mounts()
        self._leading: Leading | None = None
        self._feeding: Feeding | None = None
        self.limits: LimitKeeper | None = None
        """Keeps limits for processes elsewhere; None while another server leads."""
        self.check_ins: CheckIns | None = None
        """Takes check-ins; None while another server leads."""
        self.answering: Answering | None = None
        """Takes answers to paused runs; None while another server leads."""
        self.cancelling: CancellingRuns | None = None
        """Ends runs that are to end; None while another server leads."""
        self._standby: Standby | None = None
        self._term: int | None = 0
        """The lease's epoch for which this server leads, 0 while it stands by; None where a change of role is not done, so
        that it is tried again also when the lease that was lost has been renewed meanwhile.
        """
        self._collector = gc.get_threshold()
        self._stop = threading.Event()
        self._turn = threading.Event()
        self._threads: list[threading.Thread] = []

    def _open_store(self) -> Store:
        return open_store(self.config.store_url, session=self._session)

    def _open_mirrors(self) -> Mirrors:
        return Mirrors(self.store, self.config.home, self.config["shipping.backlog_bytes"])

    @property
    def leading(self) -> bool:
        """Whether this server is the one that writes: what is sent to it is kept."""
        return self._leading is not None and (self.lease is None or self.lease.held)

    @property
    def ingester(self) -> Ingester | None:
        """What moves journals into the log; None while another server does."""
        return self._leading.ingester if self._leading is not None else None

    @property
    def standing_by(self) -> bool:
        return self._standby is not None

    def start(self) -> None:
        """Let events flow and open the plugins, which mount what they serve before this returns.

        One that hangs in `open` delays no other, and no crash is told late because of it.
        """
        gc.set_threshold(_COLLECT_AFTER, *self._collector[1:])
        self.tokens.open()
        self._spawn("tokens", lambda: self.tokens.run(self._stop))
        if self.lease is None:
            self._lead()
        else:
            self._begin(self.lease)
        self._await_open()

    def _spawn(self, name: str, body: Callable[[], None]) -> None:
        thread = threading.Thread(target=body, name=f"flowtell-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _begin(self, lease: Lease) -> None:
        leads = lease.take()
        self._spawn("lease", self._keep_lease)  # before the plugins, which may take longer to open than a lease lasts
        if leads:
            self._lead()
        else:
            logger.warning("another server leads, at %s: this one stands by", self._leader() or "an unknown address")
            self._stand_by()
        self._spawn("role", self._follow_lease)

    def _await_open(self, seconds: float = 10.0) -> None:
        """Until every plugin was opened or failed to be; one that hangs does not keep the server from starting."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and any(runner.state == "starting" for runner in self.runners):
            time.sleep(0.005)

    def stop(self, timeout: float = 10.0) -> None:
        """End within about `timeout` seconds; where others stand by, one of them goes on at once."""
        self._stop.set()
        self._turn.set()
        for thread in self._threads:
            thread.join(timeout)
        self._let_go(timeout)
        if self.lease is not None:
            self.lease.close()
        self.store.close()
        gc.set_threshold(*self._collector)

    # --- leading and standing by ----------------------------------------------------------------------------------

    def _lead(self) -> None:
        term = self.lease.epoch if self.lease is not None else 0
        self.store.fence = self.lease.fence() if self.lease is not None else None
        self._make_runners()
        self.presence.restart()
        self.mirrors = self._open_mirrors()
        shipped = Shipped(self.mirrors, self.presence)
        leading = Leading(self.config, self.store, self.runners, self.clock, shipped)
        leading.start()
        self._leading, self._term = leading, term
        self._feeding = Feeding(self.config, self.store, self.clock)
        self._feeding.start()
        self._take_check_ins(leading.ingester)
        self.answering = Answering(self.config, self.store)
        self.cancelling = CancellingRuns(self.config, self.store)
        self.limits = LimitKeeper(self.config, self.presence, takes_over=self.lease is not None)
        self.limits.start()

    def _take_check_ins(self, ingester: Ingester) -> None:
        began = self.clock()
        check_ins = CheckIns(self.config, self.store, self.clock, lambda: ingester.last_pass >= began)
        try:
            check_ins.start()
        except (FlowtellError, OSError) as error:
            logger.warning("the checks of the configuration are not declared: %s", error)
        self.check_ins = check_ins

    def _stand_by(self) -> None:
        self._term = 0
        self._make_runners()
        self._standby = Standby(self.store, self.runners, Forwarding(self.config, self._leader))
        self._standby.start()

    def _leader(self) -> str:
        return self.lease.leader()[1] if self.lease is not None else ""

    def _let_go(self, timeout: float) -> None:
        leading, self._leading = self._leading, None
        standby, self._standby = self._standby, None
        feeding, self._feeding = self._feeding, None
        check_ins, self.check_ins = self.check_ins, None
        if check_ins is not None:
            check_ins.close()
        answering, self.answering = self.answering, None
        if answering is not None:
            answering.close()
        cancelling, self.cancelling = self.cancelling, None
        if cancelling is not None:
            cancelling.close(timeout)
        limits, self.limits = self.limits, None
        if limits is not None:
            limits.stop(timeout)
        for role in (feeding, leading, standby):
            if role is not None:
                role.stop(timeout)
        for runner in self.runners:  # a standby's effects were never started
            runner.let_go()

    def _make_runners(self) -> None:
        self.runners, self.refused = make_runners(self.config, self.store)
        for error in self.refused:
            logger.warning("%s", error)
        for runner in self.runners:
            runner.on_mount = self.mounts.set
            runner.all_statuses = self.statuses
            runner.read_until = self._read_until

    def _keep_lease(self) -> None:
        """Renew it six times in its life, or try as often to get it. Nothing else, so that nothing delays it."""
        lease = self.lease
        assert lease is not None
        while not self._stop.wait(lease.seconds / 6):
            try:
                (lease.renew if lease.epoch else lease.take)()
            except DBAPIError as error:
                logger.debug("the lease could not be asked for: %s", error)
            if self._term != self._due_term(lease):
                self._turn.set()

    def _due_term(self, lease: Lease) -> int:
        """The term that this server should be leading in: none when it cannot be sure of its lease."""
        return lease.epoch if lease.held else 0

    def _follow_lease(self) -> None:
        """Change roles when the lease was got or lost; looks by itself too, as a database that is silent tells nothing."""
        assert self.lease is not None
        while not self._stop.is_set():
            self._turn.wait(self.lease.seconds / 6)
            self._turn.clear()
            if self._stop.is_set() or self._term == self._due_term(self.lease):
                continue
            try:
                self._change_role(self.lease)
            except Exception:
                logger.exception("the change of role failed; it is tried again")
                self._stop.wait(0.5)

    def _change_role(self, lease: Lease) -> None:
        leads = self._due_term(lease) > 0
        logger.warning("this server leads now" if leads else "this server has lost its lease and stands by")
        before, self._term = self.store, None
        self._let_go(_TAKE_OVER_SECONDS if leads else _STEP_DOWN_SECONDS)
        self.store = self._open_store()
        before.close()
        if leads:
            self._lead()
        else:
            self._stand_by()

    def _read_until(self) -> int:
        return self._leading.ingester.last_pass if self._leading is not None else 0

    # --- how it is doing ------------------------------------------------------------------------------------------

    def statuses(self) -> Sequence[PluginStatus]:
        """Every plugin's, the refused ones too."""
        refused = [
            PluginStatus(name=error.name, distribution=error.distribution, state="refused", last_error=str(error))
            for error in self.refused
        ]
        return [*(runner.status() for runner in self.runners), *refused]

    def sources(self) -> Sequence[SourceStatus]:
        """Every source's; none while another server leads."""
        return self._feeding.statuses() if self._feeding is not None else ()

    def problems(self) -> list[str]:
        """Why the server is not ready to be sent something; empty when it is."""
        leading = self._leading
        if leading is None:
            return ["standing by: another server leads" if self.standing_by else "changing roles: the store is opened anew"]
        found = [f"ingest: {leading.ingest_error}"] if leading.ingest_error else []
        if not self.leading:
            found.append("lease: the database has not renewed it in time")
        if self.clock() - leading.ingester.last_pass > READY_LAG_SECONDS * 1e6:
            found.append("ingest: behind the journals")
        for status in self.statuses():
            if status.state in ("broken", "stuck", "refused"):
                found.append(f"plugin {status.name}: {status.state}")
            elif status.lag_seconds > READY_LAG_SECONDS:
                found.append(f"plugin {status.name}: {status.lag_seconds:.0f} s behind")
        return found
