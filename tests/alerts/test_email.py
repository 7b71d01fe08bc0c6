"""E-mail: the standard library's client against a real SMTP server on loopback."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
import threading
import time
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.alerts.messages import digest, huge, message

from flowtell.errors import BadValue
from flowtell_alerts.channels import ChannelError
from flowtell_alerts.channels.email import Keys, create, html, mail_of, plain

PASSWORD = "s3cret"


class Box:
    """What arrived, and the replies to give instead of taking a mail."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.replies: list[str] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        if self.replies:
            return self.replies.pop(0)
        self.mails.append((envelope, email.message_from_bytes(envelope.content, policy=email.policy.default)))
        return "250 OK"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path_factory.mktemp("ca") / "ca.pem"))
    bundle = tmp_path_factory.mktemp("ca") / "bundle.pem"
    made.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.issue_cert("localhost").configure_cert(context)
    return context, str(bundle)


@pytest.fixture
def server(authority):
    """With STARTTLS, which it requires, and a user."""
    context, bundle = authority
    box = Box()

    def authenticated(_server, _session, _envelope, _mechanism, data):
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    controller = Controller(
        box, hostname="localhost", port=free_port(), tls_context=context, require_starttls=True, authenticator=authenticated,
        auth_required=True, server_hostname="localhost",
    )  # fmt: skip
    yield from running(controller, box, bundle)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def running(controller, box, bundle):
    controller.start()
    controller.box, controller.bundle = box, bundle
    yield controller
    controller.stop()


def keys_to(server, **keys):
    known = {
        "host": "localhost", "port": server.port, "to": ["ops@example.org", "data@example.org"],
        "sender": "flowtell@example.org", "username": "u", "password": PASSWORD, "ca_bundle": server.bundle,
        "timeout_seconds": 2.0,
    }  # fmt: skip
    return {**known, **keys}


def channel_to(server, **keys):
    return create("mail", keys_to(server, **keys))


def test_a_mail_as_it_arrives(server):
    """Both addresses, plain text and HTML, with links and facts."""
    channel_to(server).send(message())
    ((envelope, mail),) = server.box.mails
    assert envelope.rcpt_tos == ["ops@example.org", "data@example.org"]
    assert mail["Subject"] == "ERROR: nightly (production)"
    assert mail["Auto-Submitted"] == "auto-generated"
    text, rich = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for part in (text, rich):
        assert "the last run failed (KeyError)" in part
        assert "https://flowtell.example/runs/" in part
        assert "2026-01-01 00:00 Europe/Berlin" in part


def test_what_follows_answers_the_first(server):
    """So that a reader shows one thread; each mail has an id of its own, the same whenever it is sent."""
    channel = channel_to(server)
    first = channel.send(message())
    channel.send(message("resolved", before=first))
    channel.send(message("resolved", before=first))
    opened, resolved, again = (mail for _, mail in server.box.mails)
    assert resolved["In-Reply-To"] == opened["Message-ID"]
    assert resolved["Message-ID"] == again["Message-ID"] != opened["Message-ID"]


def test_over_tls_from_the_first_byte(authority):
    """As on port 465."""
    context, bundle = authority
    box = Box()
    controller = Controller(box, hostname="localhost", port=free_port(), ssl_context=context, server_hostname="localhost")
    for server in running(controller, box, bundle):
        channel_to(server, tls="ssl", username="", password="").send(message())
        assert len(box.mails) == 1


def test_without_tls(authority):
    """For a relay on the same machine."""
    box = Box()
    for server in running(Controller(box, hostname="localhost", port=free_port()), box, ""):
        channel_to(server, tls="none", username="", password="").send(message())
        assert len(box.mails) == 1
        with pytest.raises(ChannelError, match="STARTTLS") as raised:
            channel_to(server, username="", password="").send(message())
        assert raised.value.permanent


def test_a_digest_as_a_mail(server):
    """Ten names and how many more."""
    channel_to(server).send(digest())
    ((_, mail),) = server.box.mails
    assert "and 9,980 more" in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    ("reply", "permanent"),
    [("451 try later", False), ("421 too busy", False), ("550 no such user", True), ("554 refused s3cret", True)],
)
def test_a_reply_is_judged_by_its_first_digit(server, reply, permanent):
    """RFC 5321, 4.2.1; its text stays out."""
    server.box.replies = [reply]
    with pytest.raises(ChannelError) as raised:
        channel_to(server).send(message())
    assert raised.value.permanent is permanent
    assert reply[:3] in str(raised.value)
    assert PASSWORD not in str(raised.value)


def test_a_wrong_password(server):
    """Somebody has to mend it."""
    with pytest.raises(ChannelError, match="user and password") as raised:
        channel_to(server, password="s3cret-wrong").send(message())
    assert raised.value.permanent
    assert "s3cret" not in str(raised.value)


def test_a_certificate_of_nobody(server):
    """The password is not sent to it."""
    with pytest.raises(ChannelError) as raised:
        channel_to(server, ca_bundle="").send(message())
    assert not raised.value.permanent


@pytest.mark.parametrize("greeting", [b"", b"220 x", b"HTTP/1.1 400 Bad\r\n\r\n", None], ids=str)
def test_a_server_that_is_none(greeting):
    """Silent, cut off, or another protocol: tried again, within its time."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_greet, args=(listening, greeting), daemon=True).start()
        keys = {"host": "127.0.0.1", "port": listening.getsockname()[1], "to": ["a@b.c"], "sender": "d@e.f"}
        began = time.monotonic()
        with pytest.raises(ChannelError) as raised:
            create("mail", {**keys, "timeout_seconds": 0.5}).send(message())
        assert not raised.value.permanent or "answered 4" in str(raised.value)
        assert time.monotonic() - began < 3


def _greet(listening, greeting):
    connection, _ = listening.accept()
    with connection:
        if greeting is None:
            time.sleep(2)
        else:
            connection.sendall(greeting)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"to": []}, "names nobody"),
        ({"to": "nobody"}, "is no address"),
        ({"sender": "x"}, "is no address"),
        ({"tls": "maybe"}, "starttls"),
        ({"tls": "none"}, "without TLS"),
        ({"port": 99_999}, "no such port"),
    ],
    ids=str,
)
def test_a_table_that_cannot_be_is_refused(keys, problem):
    """Before anything is sent; a password without TLS among it."""
    known = {"host": "h", "to": "a@b.c", "sender": "d@e.f", "username": "u", "password": PASSWORD}
    with pytest.raises(BadValue, match=problem) as refused:
        create("mail", {**known, **keys})
    assert PASSWORD not in str(refused.value)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    piece=st.sampled_from(["x", "\r\n", "é", "😀", "<script>", "\ud83d", "=?utf-8?q?x?="]),
    length=st.sampled_from([1, 5_000_000]),
)
def test_any_incident_makes_a_valid_mail(piece, length):
    """No header can be injected, no tag, and it stays small."""
    told = huge(piece * (length // len(piece) + 1))
    mail = mail_of(told, Keys(host="h", to=("a@b.c",), sender="d@e.f"))
    raw = mail.as_bytes()
    assert len(raw) < 200_000
    assert "<script>" not in html(told)
    assert email.message_from_bytes(raw, policy=email.policy.default)["To"] == "a@b.c"
    assert len(plain(told)) < 60_000
