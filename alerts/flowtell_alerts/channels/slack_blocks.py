"""A message as Slack's blocks, within Slack's limits, whatever it holds.

Limits: https://docs.slack.dev/reference/block-kit/blocks, and, for the total, what Slack refuses with
`msg_blocks_too_long` from about 13,200 characters on (slackapi/bolt-js#2509).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from flowtell_alerts.channels.wording import cut, facts, guilty, summary, title
from flowtell_alerts.message import Link, Message

MAX_BLOCKS: Final = 50
MAX_TOTAL: Final = 13_000
MAX_HEADER: Final = 150
MAX_SECTION: Final = 3_000
MAX_FIELD: Final = 2_000
MAX_FIELDS: Final = 10
MAX_TEXT: Final = 4_000
MAX_BUTTON: Final = 75
MAX_URL: Final = 3_000
MAX_VALUE: Final = 2_000

ACKNOWLEDGE, SILENCE = "flowtell_acknowledge", "flowtell_silence"
"""Ids of the actions that the buttons send."""

Block = dict[str, Any]


def text_of(message: Message) -> str:
    """What notifications and screen readers say: Slack wants it beside the blocks."""
    return _mrkdwn(summary(message), MAX_TEXT)


def blocks_of(message: Message, *, buttons: bool = False) -> list[Block]:
    """The blocks; what does not fit is cut from the details' end and marked, the links are kept.

    Args:
        buttons: whether people can acknowledge and silence from here.
    """
    head = [_header(title(message)), _section(_mrkdwn(message.incident.reason, MAX_SECTION))]
    tail = _actions(message, buttons)
    details = [*_fields(message), *_guilty(message)]
    while details and _size([*head, *details, *tail]) > MAX_TOTAL:
        details = _shorter(details)
    return [*head, *details, *tail][:MAX_BLOCKS]


def follow_up(message: Message) -> str:
    """One line for the thread."""
    who = f" by {message.acknowledged_by}" if message.kind == "acknowledged" and message.acknowledged_by else ""
    return _mrkdwn(f"{title(message)}{who}: {message.incident.reason}", MAX_TEXT)


# --- parts ------------------------------------------------------------------------------------------------------------


def _header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": cut(text, MAX_HEADER), "emoji": False}}


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text or " "}}


def _fields(message: Message) -> list[Block]:
    known = facts(message)
    shown = [
        {"type": "mrkdwn", "text": f"*{_mrkdwn(label, 200)}*\n{_mrkdwn(value, MAX_FIELD - 300)}"} for label, value in known
    ]
    if len(shown) > MAX_FIELDS:
        left = len(shown) - MAX_FIELDS + 1
        shown = [*shown[: MAX_FIELDS - 1], {"type": "mrkdwn", "text": f"_and {left} more_"}]
    return [{"type": "section", "fields": shown}] if shown else []


def _guilty(message: Message) -> list[Block]:
    lines = [f"• {_mrkdwn(line, 250)}" for line in guilty(message)]
    return [_section("\n".join(lines)[:MAX_SECTION])] if lines else []


def _actions(message: Message, buttons: bool) -> list[Block]:
    found = [_link(link, place) for place, link in enumerate(_usable(message.links))]
    if buttons and message.open and message.digest is None and message.kind != "test":
        found += [_button("Acknowledge", ACKNOWLEDGE, message)] if not message.acknowledged_by else []
        found += [_button("Silence for 1 h", SILENCE, message)]
    return [{"type": "actions", "elements": found}] if found else []


def _usable(links: Sequence[Link]) -> list[Link]:
    return [link for link in links if len(link.url) <= MAX_URL and link.url.startswith(("https://", "http://"))]


def _link(link: Link, place: int) -> Block:
    return {
        "type": "button",
        "action_id": f"flowtell_link_{place}",
        "text": {"type": "plain_text", "text": cut(link.title, MAX_BUTTON), "emoji": False},
        "url": link.url,
    }


def _button(words: str, action: str, message: Message) -> Block:
    return {
        "type": "button",
        "action_id": action,
        "text": {"type": "plain_text", "text": words, "emoji": False},
        "value": message.incident.id[:MAX_VALUE],
    }


# --- limits -----------------------------------------------------------------------------------------------------------


def _shorter(details: list[Block]) -> list[Block]:
    """The same without the last of the details, the loss of which is marked."""
    last = details[-1]
    fields = last.get("fields", ())
    if len(fields) > 2:
        return [*details[:-1], {**last, "fields": [*fields[:-2], {"type": "mrkdwn", "text": "_and more_"}]}]
    return [*details[:-1], _section("_and more_")] if last != _section("_and more_") else details[:-1]


def _size(blocks: list[Block]) -> int:
    """As Slack receives them, which is never less than what it counts."""
    return len(msgspec.json.encode(blocks).decode())


def _mrkdwn(text: str, limit: int) -> str:
    """Text that Slack shows as it is, cut so that it fits when escaped (https://docs.slack.dev/messaging/formatting-message-text)."""
    return _escaped(cut(text, limit, size=lambda part: len(_escaped(part))))


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


__all__ = ["ACKNOWLEDGE", "SILENCE", "blocks_of", "follow_up", "text_of"]
