"""10,000 flows fail in one moment: how many messages Slack and PagerDuty get, how fast, and when the last flow is told.

Evaluator and sender on their own threads over one store, in real time, against the tests' servers on loopback.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1]))

FLOWS = 10_000
MOST = 20


def measure(quick: bool) -> Iterator[Figure]:
    from tests.alerts.fake_pagerduty import FakePagerDuty
    from tests.alerts.fake_slack import FakeSlack

    flows = 500 if quick else FLOWS
    with tempfile.TemporaryDirectory(prefix="flowtell-storm-") as folder:
        slack, pagerduty = FakeSlack(), FakePagerDuty(Path(folder))
        try:
            yield from _figures(_storm(folder, slack, pagerduty, flows), slack, pagerduty, flows)
        finally:
            slack.close()
            pagerduty.close()


def _storm(folder: str, slack: Any, pagerduty: Any, flows: int) -> dict[str, float]:
    """Seconds from the failures until each receiver knew of all, and until it knew that all were over."""
    from flowtell.runner import Runner, RunnerThread
    from flowtell.store import open_store
    from flowtell_alerts.evaluator import create as evaluator
    from flowtell_alerts.sender import create as sender

    store = open_store(f"sqlite:///{folder}/flowtell.db")
    channels = {"notifications": {"terminal": False, "channels": _tables(slack, pagerduty)}}
    threads = []
    for name, factory in (("alerts", evaluator), ("notifications", sender)):
        runner = Runner(name, factory, store, settings=channels.get(name, {}))
        runner.live = True
        threads.append(RunnerThread(runner))
        threads[-1].start()
    try:
        _append(store, flows, "failed", declared=True)
        began = time.monotonic()
        taken = {f"{name} knows all": _until(said, flows, began) for name, said in _tellers(slack, pagerduty).items()}
        _append(store, flows, "completed", declared=False)
        began = time.monotonic()
        taken |= {f"{name} over": _until(said, 0, began, of=1) for name, said in _tellers(slack, pagerduty).items()}
    finally:
        for thread in threads:
            thread.stop(10)
        store.close()
    return taken


def _tables(slack: Any, pagerduty: Any) -> dict[str, dict[str, Any]]:
    from tests.alerts.fake_pagerduty import KEY
    from tests.alerts.fake_slack import CHANNEL, TOKEN

    return {
        "ops": {"type": "slack", "token": TOKEN, "channel": CHANNEL, "api_url": f"{slack.url}/api/"},
        "oncall": {
            "type": "pagerduty",
            "routing_key": KEY,
            "api_url": pagerduty.url,
            "ca_bundle": pagerduty.bundle,
        },
    }


def _append(store: Any, flows: int, state: str, *, declared: bool) -> None:
    from flowtell import events as e
    from flowtell.ids import new_id
    from flowtell.rules import failed

    now = time.time_ns() // 1000
    made: list[Any] = []
    for number in range(flows):
        flow = f"flow{number:05}"
        if declared:
            made.append(e.FlowDeclared(id=new_id(now), time=now, flow=flow, environment="bench", rules=(failed(),)))
        run = {"run": new_id(now), "flow": flow, "environment": "bench"}
        made.append(e.FlowRunFinished(id=new_id(now), time=now, state=state, **run))
    with store.write() as transaction:
        writer = store.log.writer(transaction, "bench", "journal")
        store.log.append_events(transaction, writer, made, now, 0 if declared else 2 * flows)


def _tellers(slack: Any, pagerduty: Any) -> dict[str, Any]:
    """For each receiver: how many incidents it has been told of, how many of them are open, one by one or in digests."""

    def of_slack() -> tuple[int, int]:
        told = [_counts(message["text"]) for message in slack.top()]
        return sum(known for known, _ in told), sum(is_open for _, is_open in told)

    def of_pagerduty() -> tuple[int, int]:
        told = [(each, each["body"]["payload"]["custom_details"]) for each in pagerduty.incidents]
        known = sum(int(details.get("incidents", 1)) for _, details in told)
        return known, sum(int(details.get("open", 1)) for each, details in told if each["status"] != "resolved")

    return {"Slack": of_slack, "PagerDuty": of_pagerduty}


def _counts(text: str) -> tuple[int, int]:
    """Incidents and open ones, by what the message says."""
    over = text.startswith("RESOLVED")
    if " incidents of rule" not in text:
        return 1, 0 if over else 1
    known = int(text.split(" incidents of rule", maxsplit=1)[0].rsplit(" ", 1)[1].replace(",", ""))
    still = text.split("', ")[1].split(" open", maxsplit=1)[0]
    return known, 0 if over else int(still.replace(",", ""))


def _until(said: Any, wanted: int, began: float, *, of: int = 0) -> float:
    while said()[of] != wanted:
        if time.monotonic() - began > 180:
            raise TimeoutError(f"{said()} after three minutes, wanted {wanted}")
        time.sleep(0.02)
    return time.monotonic() - began


def _figures(taken: dict[str, float], slack: Any, pagerduty: Any, flows: int) -> Iterator[Figure]:
    posts = [place for place, each in enumerate(slack.requests) if each["path"].endswith("chat.postMessage")]
    messages = {"Slack": len(slack.requests), "PagerDuty": len(pagerduty.requests)}
    for name, count in messages.items():
        yield Figure(f"requests to {name} for {flows:,} failures and their end", count, "requests", at_most=MOST)
    gaps = [after - before for before, after in itertools.pairwise(slack.moments[place] for place in posts)]
    if gaps:
        yield Figure("least time between two new messages in Slack", min(gaps), "s", note="thread replies among them")
    for name, seconds in taken.items():
        yield Figure(f"{name}, after the moment", seconds, "s", at_most=60)


__all__ = ["measure"]
