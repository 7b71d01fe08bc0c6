"""Draws Slack messages from the blocks that the channel sends, in Debian's Chromium. Run by `make pictures`.

Our own page in Slack's manner, not Slack: texts, order, links and buttons are the blocks', fonts and colours are ours.
"""

from __future__ import annotations

import html
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from flowtell.events import IncidentOpened, IncidentResolved, RuleData, Subject
from flowtell.ids import derived_id
from flowtell_alerts.channels.slack_blocks import blocks_of, follow_up
from flowtell_alerts.message import Digest, Guilty, IncidentShown, Message, Pages, RuleShown, digest_message, message_of
from flowtell_alerts.message import Subject as SubjectShown

PICTURE = Path(__file__).parent / "pictures" / "slack_message.png"
PAGES = Pages("https://flowtell.example", "https://tempo.example/trace/{trace}")
AT = 1_767_229_200_000_000

STYLE = """
body{margin:0;background:#fff;font:15px/1.46 Lato,"Noto Sans","DejaVu Sans",sans-serif;color:#1d1c1d}
main{padding:18px 24px;width:720px}.message{display:flex;gap:10px;margin-bottom:22px}
.icon{width:36px;height:36px;border-radius:6px;background:#4a154b;color:#fff;text-align:center;line-height:36px;font-weight:700}
.name{font-weight:900}.app{font-size:10px;background:#e8e8e8;padding:1px 4px;border-radius:2px;color:#616061}
.time{color:#616061;font-size:12px}.header{font-size:18px;font-weight:900;margin:4px 0}
.fields{display:grid;grid-template-columns:1fr 1fr;gap:6px 16px;margin:8px 0}.section{margin:6px 0;white-space:pre-line}
.actions{display:flex;gap:8px;margin-top:8px;flex-wrap:wrap}
.button{border:1px solid #bbb;border-radius:4px;padding:4px 11px;font-size:13px;font-weight:700}
.thread{color:#1264a3;font-size:13px;margin-top:6px}
"""


def main() -> None:
    opened, resolved = incident(IncidentOpened), incident(IncidentResolved)
    shown = [
        message(opened, "02:15", buttons=True),
        message(resolved, "02:15", buttons=True, edited=True, thread=follow_up(resolved)),
        message(storm(), "02:16", buttons=True),
    ]
    page = f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><main>{''.join(shown)}</main>"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": 770, "height": 400}, device_scale_factor=1.5)
        view.set_content(page)
        view.locator("main").screenshot(path=PICTURE)
        browser.close()
    print(PICTURE, file=sys.stderr)


def incident(kind: type[IncidentOpened | IncidentResolved]) -> Message:
    ended = kind is IncidentResolved
    late = "due 02:00 Europe/Berlin, not started 15 min later"
    return message_of(
        kind(
            id=derived_id(AT, kind.__name__),
            time=AT,
            run=derived_id(AT, "run"),
            flow="nightly",
            environment="production",
            incident=derived_id(AT, "incident"),
            key="late",
            rule=RuleData(kind="late", arguments={"after": 900.0}, severity="error", runbook="https://wiki.example/nightly"),
            subject=Subject(kind="deployment", name="nightly/berlin"),
            severity="error",
            owners=("data",),
            since=AT,
            reason="the run has started" if ended else late,
            evidence={"due": "2026-01-01 02:00 Europe/Berlin", "grace": "15 min"},
        ),
        PAGES,
    )


def storm() -> Message:
    counted = Digest(10_000, 9_998, 10_000, [Guilty(f"ingest_{number:02}", 1, 1) for number in range(10)])
    reason = "10,000 incidents of rule 'failed', 9,998 open: ingest_00 (1), ingest_01 (1) and 9,998 more"
    shown = IncidentShown(
        derived_id(AT, "digest"),
        "digest-failed",
        RuleShown("failed", {}),
        "error",
        SubjectShown("digest", "10,000 flows"),
        "production",
        [],
        AT,
        reason,
        [],
        "",
    )
    return digest_message(derived_id(AT, "digest"), "opened", shown, counted, pages=PAGES, before=None)


def message(told: Message, at: str, *, buttons: bool, edited: bool = False, thread: str = "") -> str:
    drawn = "".join(map(block, blocks_of(told, buttons=buttons)))
    note = " <span class=time>(edited)</span>" if edited else ""
    reply = f"<div class=thread>1 reply: {thread}</div>" if thread else ""
    head = f"<span class=name>flowtell</span> <span class=app>APP</span> <span class=time>{at}</span>"
    return f"<div class=message><div class=icon>f</div><div>{head}{drawn}{note}{reply}</div></div>"


def block(given: dict[str, Any]) -> str:
    match given["type"]:
        case "header":
            return f"<div class=header>{html.escape(given['text']['text'])}</div>"
        case "section" if "fields" in given:
            return (
                f"<div class=fields>{''.join(f'<div class=section>{mrkdwn(each)}</div>' for each in given['fields'])}</div>"
            )
        case "section":
            return f"<div class=section>{mrkdwn(given['text'])}</div>"
        case _:
            names = (html.escape(each["text"]["text"]) for each in given["elements"])
            return f"<div class=actions>{''.join(f'<span class=button>{name}</span>' for name in names)}</div>"


def mrkdwn(given: dict[str, Any]) -> str:
    """The one mark that the channel uses: a bold label on the first line."""
    first, _, rest = given["text"].partition("\n")
    if first.startswith("*") and first.endswith("*"):
        return f"<b>{first.strip('*')}</b>\n{rest}"
    return str(given["text"])


if __name__ == "__main__":
    main()
