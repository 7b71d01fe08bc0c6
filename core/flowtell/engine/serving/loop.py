"""The loop of a serving process: step every deployment, sleep until the next moment, end in order."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from flowtell import bus
from flowtell.cancelling.control import Request
from flowtell.engine.control import Listener, listen
from flowtell.engine.deployments import Deployment
from flowtell.engine.kept_file import holder_of
from flowtell.engine.serving.bell import Bell
from flowtell.engine.serving.entrance import Entrance, entrance_of
from flowtell.engine.serving.ledger import Ledger, ledger_path
from flowtell.engine.serving.service import RETRY_AFTER, Service
from flowtell.errors import BadDeployment
from flowtell.wanted_runs import wants_of

if TYPE_CHECKING:
    from flowtell.engine.serving.far_wants import FarWants

STANDBY_SECONDS: Final = 2.0
"""How often a deployment that another process serves is tried."""
ADOPTED_SECONDS: Final = 0.5
"""How often runs of an earlier process are looked at, whose ends nobody tells."""


class Loop:
    """Serves deployments until a signal comes. Those that another process serves it takes over when that one ends."""

    def __init__(self, deployments: Sequence[Deployment]) -> None:
        names = [deployment.full_name for deployment in deployments]
        for name in names:
            if names.count(name) > 1:
                raise BadDeployment(name, "it is given twice; another name tells one from the other")
        self._settings = bus.settings()
        self._waiting: list[tuple[Deployment, Entrance]] = [(one, entrance_of(one)) for one in deployments]
        self._services: list[Service] = []
        self._requests: list[Request] = []
        self._standby: set[str] = set()
        self._wanted: frozenset[str] = frozenset()

    def run(self) -> None:
        bell = Bell()
        listener: Listener | None = None
        far: FarWants | None = None
        try:
            self._take_up()
            listener = listen(partial(self._take_request, bell), partial(self._look_for_wants, bell))
            far = self._ask_far()
            while not bell.asked:
                bell.wait(self._step())
            self._end(bell)
        finally:
            if far is not None:
                far.close()
            if listener is not None:
                listener.close()
            for service in self._services:
                service.close()
            bell.close()

    def _ask_far(self) -> FarWants | None:
        """Where the server is elsewhere, what is wanted is asked for; what comes is seen as what is wanted here."""
        if not self._settings["url"]:
            return None
        from flowtell.engine.serving.far_wants import FarWants

        far = FarWants(self._settings, lambda: [service.deployment.full_name for service in list(self._services)])
        far.start()
        return far

    def _take_request(self, bell: Bell, request: Request) -> None:
        """On the listener's thread."""
        self._requests.append(request)
        bell.ring()

    def _look_for_wants(self, bell: Bell) -> None:
        """On the listener's thread: what others want of a deployment is begun now, not at the next due time."""
        wanted = wants_of(self._settings.home)
        if wanted - self._wanted:
            bell.ring()
        self._wanted = wanted

    def _take_up(self) -> None:
        """Serve what nobody else serves now."""
        home, environment = self._settings.home, self._settings["environment"]
        for deployment, entrance in list(self._waiting):
            ledger = Ledger.take(home, environment, deployment.full_name)
            if ledger is None:
                self._say_standby(deployment)
                continue
            self._waiting.remove((deployment, entrance))
            self._services.append(Service(deployment, entrance, ledger, environment, _now()))
            self._say_served(self._services[-1])

    def _step(self) -> float:
        """Seconds until there is something to do again."""
        if self._waiting:
            self._take_up()
        now = _now()
        self._heed(now)
        moments = [moment for service in self._services if (moment := self._step_one(service, now)) is not None]
        waits = [(min(moments) - _now()) / 1e6] if moments else [60.0]
        if self._waiting:
            waits.append(STANDBY_SECONDS)
        if any(service.has_adopted for service in self._services):
            waits.append(ADOPTED_SECONDS)
        return min(waits)

    def _step_one(self, service: Service, now: int) -> int | None:
        """A full disk starts nothing, as nothing could be written of it, and is tried again."""
        try:
            return service.step(now)
        except OSError as error:
            bus.warn_once(BadDeployment(service.deployment.full_name, f"its ledger took nothing ({error}); tried again"))
            return now + RETRY_AFTER

    def _heed(self, now: int) -> None:
        """Cancel runs that wait here, as `flowtell cancel` asked."""
        while self._requests:
            request = self._requests.pop(0)
            for service in self._services:
                service.cancel(request.run, now)

    def _end(self, bell: Bell) -> None:
        """Runs that go on are asked to clean up and end; after the grace, or at a second signal, they are killed."""
        grace = float(self._settings["serve.grace_seconds"])
        for service in self._services:
            service.interrupt(_now(), f"the serving process got {bell.asked[0]}")
        until = time.monotonic() + grace
        while self._any_going() and time.monotonic() < until and len(bell.asked) == 1:
            bell.wait(min(until - time.monotonic(), 0.1))
        if self._any_going():
            self._say(f"{sum(len(service.going) for service in self._services)} runs did not end in time: killed")
        while self._any_going():
            for service in self._services:
                service.kill()
            bell.wait(0.05)

    def _any_going(self) -> bool:
        for service in self._services:
            service.reap(_now())
        return any(service.going for service in self._services)

    # --- words on stderr

    def _say_served(self, service: Service) -> None:
        due = service.next_due(_now())
        self._say(f"serving {service.deployment.full_name}, {f'next due {_shown(service, due)}' if due else 'never due'}")

    def _say_standby(self, deployment: Deployment) -> None:
        if deployment.full_name not in self._standby:
            self._standby.add(deployment.full_name)
            pid = holder_of(ledger_path(self._settings.home, self._settings["environment"], deployment.full_name))
            self._say(f"{deployment.full_name} is served by process {pid}; waiting to take over when that ends")

    def _say(self, words: str) -> None:
        if not self._settings["quiet"]:
            try:
                sys.stderr.write(f"flowtell: {words}\n")
                sys.stderr.flush()
            except (OSError, ValueError, AttributeError):  # stderr closed, or none at all
                pass


def _shown(service: Service, due: int) -> str:
    zones = [schedule.tz for schedule in service.deployment.schedules if schedule.tz]
    zone = ZoneInfo(zones[0] if zones else "UTC")
    return datetime.fromtimestamp(due / 1e6, zone).strftime("%Y-%m-%d %H:%M:%S %Z")


def _now() -> int:
    return time.time_ns() // 1000
