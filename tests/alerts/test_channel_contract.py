"""Our own channels pass the kit that an outsider's passes."""

from __future__ import annotations

import io

import pytest
from tests.alerts.fake_pagerduty import KEY, FakePagerDuty
from tests.alerts.fake_slack import CHANNEL, TOKEN, FakeSlack
from tests.alerts.vendor import HALF, HANG, RESET, Vendor

from flowtell_alerts.channels import alertmanager, apprise, pagerduty, slack, webhook
from flowtell_alerts.channels.terminal import Terminal
from flowtell_alerts.testing import ChannelContract

TROUBLES = ((429, False), (500, False), (503, False), (400, True), (404, True), (HANG, False), (RESET, False))


class Taking(Vendor):
    def answer(self, path, headers, body):
        return 200, {}


class OverHttp(ChannelContract):
    troubles = TROUBLES

    def failing(self):
        for trouble, permanent in self.troubles:
            self.vendor.troubles = [trouble]
            yield self.channel(), permanent


class TestTerminal(ChannelContract):
    def channel(self):
        return Terminal(io.StringIO())

    def failing(self):
        closed = io.StringIO()
        closed.close()
        yield Terminal(closed), True


class TestSlack(OverHttp):
    secrets = (TOKEN,)
    troubles = (*TROUBLES, (HALF, False))

    @pytest.fixture(autouse=True)
    def _vendor(self):
        self.vendor = FakeSlack()
        yield
        self.vendor.close()

    def channel(self):
        keys = {"token": TOKEN, "channel": CHANNEL, "api_url": f"{self.vendor.url}/api/", "timeout_seconds": 1}
        return slack.create("ops", keys)


class TestSlackWebhook(TestSlack):
    secrets = ("s3cret",)

    def channel(self):
        return slack.create("ops", {"webhook_url": f"{self.vendor.url}/services/s3cret", "timeout_seconds": 1})


class TestPagerDuty(OverHttp):
    secrets = (KEY,)
    troubles = (*TROUBLES, (HALF, False))

    @pytest.fixture(autouse=True)
    def _vendor(self, tmp_path):
        self.vendor = FakePagerDuty(tmp_path)
        yield
        self.vendor.close()

    def channel(self):
        keys = {"routing_key": KEY, "api_url": self.vendor.url, "ca_bundle": self.vendor.bundle, "timeout_seconds": 1.0}
        return pagerduty.create("oncall", keys)


class ToTaking(OverHttp):
    secrets = ("s3cret",)

    @pytest.fixture(autouse=True)
    def _vendor(self):
        self.vendor = Taking()
        yield
        self.vendor.close()


class TestWebhook(ToTaking):
    def channel(self):
        keys = {"url": f"{self.vendor.url}/s3cret", "secret": "s3cret-hmac", "timeout_seconds": 1.0}
        return webhook.create("hook", keys)


class TestAlertmanager(ToTaking):
    def channel(self):
        return alertmanager.create("am", {"url": self.vendor.url, "token": "s3cret", "timeout_seconds": 1.0})


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what apprise's plugins import
class TestApprise(ToTaking):
    troubles = ((500, False), (404, False), (RESET, False))

    def channel(self):
        return apprise.create("all", {"urls": [self.vendor.url.replace("http", "json", 1) + "/s3cret"]})
