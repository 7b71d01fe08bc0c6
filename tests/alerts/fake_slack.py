"""Slack's Web API as documented (https://docs.slack.dev/reference/methods), as far as the channel uses it."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

from tests.alerts.vendor import Vendor

TOKEN = "xoxb-1111-s3cret"
CHANNEL = "C0123ABCD"


class FakeSlack(Vendor):
    """One workspace with one channel. `messages` are by ts; a change replaces, as in Slack."""

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__(folder)
        self.messages: dict[str, dict[str, Any]] = {}
        self.errors: list[str] = []
        """Names of errors to answer with, one by one."""
        self._count = itertools.count(1)

    def answer(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, dict[str, Any] | str]:
        if path.startswith("/services/"):
            return self._webhook(body)
        if headers.get("authorization") != f"Bearer {TOKEN}":
            return 200, {"ok": False, "error": "invalid_auth"}
        if self.errors:
            return 200, {"ok": False, "error": self.errors.pop(0)}
        if body.get("channel") not in (CHANNEL, "#data"):
            return 200, {"ok": False, "error": "channel_not_found"}
        problem = too_large(body)
        if problem:
            return 200, {"ok": False, "error": problem}
        method = path.rpartition("/")[2]
        return 200, {"chat.postMessage": self._post, "chat.update": self._update}[method](body)

    def _post(self, body: dict[str, Any]) -> dict[str, Any]:
        ts = f"1700000000.{next(self._count):06}"
        self.messages[ts] = body
        return {"ok": True, "channel": CHANNEL, "ts": ts, "message": {"text": body["text"]}}

    def _update(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["channel"] != CHANNEL:  # chat.update wants the id, a name is not enough
            return {"ok": False, "error": "channel_not_found"}
        if body["ts"] not in self.messages:
            return {"ok": False, "error": "message_not_found"}
        self.messages[body["ts"]] = {**body, "edited": True}
        return {"ok": True, "channel": CHANNEL, "ts": body["ts"]}

    def _webhook(self, body: dict[str, Any]) -> tuple[int, str]:
        if self.errors:
            return 404, self.errors.pop(0)
        if too_large(body):
            return 400, "invalid_blocks"
        self._post(body)
        return 200, "ok"

    def top(self) -> list[dict[str, Any]]:
        """What stands in the channel itself."""
        return [message for message in self.messages.values() if "thread_ts" not in message]

    def threads(self) -> list[dict[str, Any]]:
        return [message for message in self.messages.values() if "thread_ts" in message]


def too_large(body: dict[str, Any]) -> str:
    """The name of Slack's error for a message beyond its limits; empty for one within."""
    blocks = body.get("blocks") or []
    blocks = json.loads(blocks) if isinstance(blocks, str) else blocks
    if len(blocks) > 50:
        return "invalid_blocks"
    for block in blocks:
        if problem := _problem(block):
            return problem
    if len(json.dumps(blocks, ensure_ascii=False)) > 13_200:
        return "msg_blocks_too_long"
    return "msg_too_long" if len(body.get("text", "")) > 40_000 else ""


def _problem(block: dict[str, Any]) -> str:
    match block["type"]:
        case "header":
            fits = 1 <= len(block["text"]["text"]) <= 150
        case "section":
            fields = block.get("fields", [])
            text = block.get("text", {"text": "x"})["text"]
            fits = 1 <= len(text) <= 3000 and len(fields) <= 10 and all(1 <= len(each["text"]) <= 2000 for each in fields)
        case "actions":
            elements = block["elements"]
            fits = 1 <= len(elements) <= 25 and all(_fits(each) for each in elements)
            fits = fits and len({each["action_id"] for each in elements}) == len(elements)
        case _:
            fits = False
    return "" if fits else "invalid_blocks"


def _fits(button: dict[str, Any]) -> bool:
    return (
        1 <= len(button["text"]["text"]) <= 75
        and len(button.get("url", "")) <= 3000
        and len(button.get("value", "")) <= 2000
        and len(button["action_id"]) <= 255
    )
