"""PagerDuty's Events API v2 as documented (https://developer.pagerduty.com/docs/events-api-v2-overview), over https."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from tests.alerts.vendor import Vendor

KEY = "0123456789abcdef0123456789abcdef"


class FakePagerDuty(Vendor):
    """One service. What is said of a key without an open incident is dropped silently, as there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.incidents: list[dict[str, Any]] = []
        """Each with `key`, `status` and the latest `payload`; the newest of a key counts."""
        self.changes: list[dict[str, Any]] = []
        self._count = itertools.count(1)

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any] | str]:
        if path == "/v2/change/enqueue":
            self.changes.append(body)
            return 202, {"status": "success", "message": "Change event processed"}
        problem = self._problem(body)
        if path != "/v2/enqueue" or problem:
            return 400, {"status": "invalid event", "message": "Event object is invalid", "errors": [problem]}
        key = body.get("dedup_key") or f"made-{next(self._count)}"
        self._take(body["event_action"], key, body)
        return 202, {"status": "success", "message": "Event processed", "dedup_key": key}

    def _take(self, action: str, key: str, body: dict[str, Any]) -> None:
        open_one = self.open_of(key)
        if action == "trigger":
            if open_one is None:
                open_one = {"key": key, "status": "triggered", "triggers": 0}
                self.incidents.append(open_one)
            open_one["triggers"] += 1
            open_one["body"] = body
        elif open_one is not None:
            open_one["status"] = {"acknowledge": "acknowledged", "resolve": "resolved"}[action]

    def open_of(self, key: str) -> dict[str, Any] | None:
        return next((each for each in self.incidents if each["key"] == key and each["status"] != "resolved"), None)

    def statuses(self) -> list[str]:
        return [each["status"] for each in self.incidents]

    def _problem(self, body: dict[str, Any]) -> str:
        payload = body.get("payload", {})
        if body.get("routing_key") != KEY:
            return "'routing_key' is invalid"
        if body.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            return "'event_action' is invalid"
        if len(body.get("dedup_key", "")) > 255:
            return "'dedup_key' is too long"
        if body["event_action"] != "trigger":
            return "" if body.get("dedup_key") else "'dedup_key' is missing"
        if not all(payload.get(key) for key in ("summary", "source", "severity")):
            return "'payload' lacks a required field"
        if payload["severity"] not in ("info", "warning", "error", "critical"):
            return "'payload.severity' is invalid"
        return "'payload.summary' is too long" if len(payload["summary"]) > 1024 else ""
