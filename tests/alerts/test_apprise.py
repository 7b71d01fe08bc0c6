"""Apprise: the real library, posting JSON to a server on loopback."""

from __future__ import annotations

import pytest
from tests.alerts.messages import message
from tests.alerts.vendor import Vendor

from flowtell.errors import BadValue
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.channels.apprise import create

# Some of the hundred plugins that it imports at first use import what Python means to take away.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Taking(Vendor):
    def answer(self, path, headers, body):
        return 200, {}


@pytest.fixture
def taking():
    made = Taking()
    yield made
    made.close()


def url_of(vendor):
    return vendor.url.replace("http://", "json://") + "/s3cret"


def test_it_announces(taking):
    """That it opened and that it is over, each as a message of its own."""
    channel = create("all", {"urls": url_of(taking)})
    channel.send(message("opened"))
    channel.send(message("resolved"))
    assert [(each["body"]["type"], each["body"]["title"]) for each in taking.requests] == [
        ("failure", "ERROR: nightly (production)"),
        ("success", "RESOLVED: nightly (production)"),
    ]
    assert "https://flowtell.example/runs/" in taking.requests[0]["body"]["message"]


def test_it_is_told_nothing_that_it_cannot_say():
    """No update, and no acknowledgement: the next thing it says is that it is over."""
    channel = create("all", {"urls": ["json://localhost"]})
    assert channel.tells == {"opened", "resolved", "repeat", "test"}
    assert not channel.in_place


def test_a_failure_is_tried_again(taking, caplog):
    """By the address that did not take it; no address is logged."""
    taking.troubles = [500]
    channel = create("all", {"urls": [url_of(taking), url_of(taking)]})
    with pytest.raises(ChannelError, match="address 1 did not take it") as raised:
        channel.send(message())
    assert not raised.value.permanent
    assert len(taking.requests) == 2
    channel.send(message())
    assert len(taking.requests) == 3
    assert "s3cret" not in str(raised.value) + repr(channel) + caplog.text


def test_an_address_that_nobody_knows_is_refused():
    """By its place in the list, as it may hold a secret."""
    with pytest.raises(BadValue, match="address 2") as refused:
        create("all", {"urls": ["json://localhost", "s3cret://x"]})
    assert "s3cret" not in str(refused.value)


def test_addresses_in_a_file(taking, tmp_path):
    """One a line."""
    (tmp_path / "urls").write_text(f"{url_of(taking)}\n{url_of(taking)}2\n")
    create("all", {"urls_file": str(tmp_path / "urls")}).send(message())
    assert len(taking.requests) == 2
