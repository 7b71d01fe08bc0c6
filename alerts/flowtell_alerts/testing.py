"""The conformance kit for channels: inherit, say how yours is made and how its receiver fails, and pytest runs the tests.

    class TestMine(ChannelContract):
        def channel(self):
            return create("mine", {"url": ...})

What a receiver sees is the author's to test; here is what the sender relies on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from flowtell.events import IncidentOpened, IncidentResolved, Receipt, RuleData, Subject
from flowtell.ids import derived_id
from flowtell_alerts.channels import Channel, ChannelError
from flowtell_alerts.message import Kind, Message, Pages, message_of, message_of_test

_AT = 1_767_225_600_000_000
_LONG = "x<&>\u202e\n\ud83d" * 1_000_000


class ChannelContract:
    """What every channel must keep. Override `channel`, and `failing` where a receiver can be made to fail."""

    secrets: tuple[str, ...] = ()
    """Texts of the channel's settings that must show nowhere."""

    def channel(self) -> Channel:
        """A channel whose receiver takes everything."""
        raise NotImplementedError("return a channel")

    def failing(self) -> Iterator[tuple[Channel, bool]]:
        """Channels whose receiver does not take a message, each with whether that is permanent."""
        yield from ()

    # --- the tests ------------------------------------------------------------------------------------------------

    def test_its_shape_fits(self) -> None:
        """Every member is there, and it can be called off."""
        channel = self.channel()
        assert isinstance(channel, Channel)
        assert {"opened", "resolved"} <= channel.tells
        assert channel.bound_seconds > 0
        assert all(rate.seconds >= 0 and rate.burst >= 1 for rate in channel.rates)
        channel.close()

    def test_it_takes_every_kind(self) -> None:
        """In the order of an incident's life, each with the receipt of the first."""
        channel = self.channel()
        first: Receipt | None = None
        kinds: tuple[Kind, ...] = ("opened", "updated", "acknowledged", "repeat", "resolved")
        for kind in kinds:
            receipt = self._say(channel, _message(kind, before=first))
            first = first or receipt
        self._say(channel, message_of_test(derived_id(_AT, "test"), channel.name, "ada", _AT, Pages()))
        channel.close()

    def test_it_takes_the_same_message_again(self) -> None:
        """After a crash between sending and noting it."""
        channel = self.channel()
        for _ in range(2):
            self._say(channel, _message("opened"))
        channel.close()

    def test_it_takes_any_text(self) -> None:
        """Five megabytes, and characters that mean something elsewhere."""
        channel = self.channel()
        self._say(channel, _message("opened", text=_LONG))
        channel.close()

    def test_what_is_not_taken_is_said(self) -> None:
        """By a `ChannelError` that says whether it passes, within the bound, and with no secret in it."""
        for channel, permanent in self.failing():
            began = time.monotonic()
            with pytest.raises(ChannelError) as raised:
                self._say(channel, _message("opened"))
            assert time.monotonic() - began < channel.bound_seconds + 1
            assert raised.value.permanent is permanent, str(raised.value)
            shown = f"{raised.value}{raised.value!r}{channel!r}"
            assert not any(secret in shown for secret in self.secrets)
            channel.close()

    def _say(self, channel: Channel, message: Message) -> Receipt:
        if channel.batch > 1:
            (receipt,) = channel.send_all([message])
            return receipt
        return channel.send(message)


def _message(kind: Kind, *, text: str = "nightly", before: Receipt | None = None) -> Message:
    event = (IncidentResolved if kind == "resolved" else IncidentOpened)(
        id=derived_id(_AT, kind),
        time=_AT,
        run=derived_id(_AT, "run"),
        flow=text,
        environment=text,
        incident=derived_id(_AT, "incident"),
        key=text,
        rule=RuleData(kind="failed", arguments={"consecutive": 1}, severity="error", runbook="https://wiki.example/nightly"),
        subject=Subject(kind="flow", name=text),
        runs=(derived_id(_AT, "run"),),
        severity="error",
        owners=(text,),
        since=_AT,
        reason=text,
        evidence={"due": text, "count": 3},
    )
    return message_of(event, Pages("https://flowtell.example"), kind=kind, before=before)


__all__ = ["ChannelContract"]
