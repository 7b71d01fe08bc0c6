"""The channel type `email`: one mail for each message, in plain text and HTML, in one thread for each incident."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from html import escape
from typing import Any, Final

from msgspec import Struct

from flowtell.errors import BadValue
from flowtell.events import Receipt
from flowtell_alerts.channels import ANNOUNCED, BaseChannel, ChannelError
from flowtell_alerts.channels._exchange import problem_of
from flowtell_alerts.channels.settings import checked, checked_seconds, place_of
from flowtell_alerts.channels.wording import cut, facts, guilty, title
from flowtell_alerts.message import Message

MAX_SUBJECT: Final = 200

_TLS: Final = ("starttls", "ssl", "none")
_DOMAIN: Final = "flowtell.invalid"  # RFC 2606: no mail ever goes there, the ids only have to differ


class Keys(Struct, frozen=True):
    """What `[channel.NAME]` may say."""

    host: str
    to: tuple[str, ...]
    sender: str
    """The address that mails come from."""
    port: int = 0
    """587 for starttls, 465 for ssl, 25 for none, unless it is said."""
    tls: str = "starttls"
    username: str = ""
    password: str = ""
    ca_bundle: str = ""
    """File of certificates to trust, for a server with one of its own."""
    timeout_seconds: float = 10.0


class Email(BaseChannel):
    """A connection for each mail: there are few, and none is held open."""

    tells = ANNOUNCED | {"acknowledged"}
    hourly = 60

    def __init__(self, name: str, keys: Keys) -> None:
        self.name, self._keys = name, keys
        self.bound_seconds = 3 * keys.timeout_seconds
        self._context = ssl.create_default_context(cafile=keys.ca_bundle or None)

    def __repr__(self) -> str:
        return f"Email({self.name}, {self._keys.host})"

    def send(self, message: Message) -> Receipt:
        mail = mail_of(message, self._keys)
        try:
            with self._connection() as server:
                refused = server.send_message(mail)
        except smtplib.SMTPException as error:
            raise self._failed(error) from None
        except OSError as error:
            raise ChannelError(self.name, f"{self._keys.host} {problem_of(error)}", permanent=False) from None
        if refused:
            raise ChannelError(self.name, f"{self._keys.host} refused {len(refused)} of the addresses", permanent=True)
        return Receipt(id=str(mail["Message-ID"]))

    def _connection(self) -> smtplib.SMTP:
        keys = self._keys
        if keys.tls == "ssl":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                keys.host, keys.port or 465, timeout=keys.timeout_seconds, context=self._context
            )
        else:
            server = smtplib.SMTP(
                keys.host, keys.port or (587 if keys.tls == "starttls" else 25), timeout=keys.timeout_seconds
            )
        try:
            if keys.tls == "starttls":
                server.starttls(context=self._context)
            if keys.username:
                _log_in(server, keys)
        except BaseException:
            server.close()
            raise
        return server

    def _failed(self, error: smtplib.SMTPException) -> ChannelError:
        """By the reply's first digit (RFC 5321, 4.2.1). The reply's text may quote the mail, and stays out."""
        host = self._keys.host
        if isinstance(error, smtplib.SMTPAuthenticationError):
            words = f"{host} does not accept the user and password (it answered {error.smtp_code})"
            return ChannelError(self.name, words, permanent=500 <= error.smtp_code < 600)
        if isinstance(error, smtplib.SMTPNotSupportedError):
            return ChannelError(self.name, f"{host} does not offer STARTTLS or a login; see 'tls'", permanent=True)
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            codes = [code for code, _ in error.recipients.values()]
            permanent = all(500 <= code < 600 for code in codes)
            return ChannelError(self.name, f"{host} refused the addresses (it answered {codes[0]})", permanent=permanent)
        code = error.smtp_code if isinstance(error, smtplib.SMTPResponseException) else 0
        words = f"{host} answered {code}" if code > 0 else f"{host} broke off ({type(error).__name__})"
        return ChannelError(self.name, words, permanent=500 <= code < 600)


def _log_in(server: smtplib.SMTP, keys: Keys) -> None:
    """By PLAIN where that is offered, once: `login` tries one way after the other until the server breaks off."""
    server.ehlo_or_helo_if_needed()
    if "PLAIN" in server.esmtp_features.get("auth", "").split():
        server.user, server.password = keys.username, keys.password
        server.auth("PLAIN", server.auth_plain)
    else:
        server.login(keys.username, keys.password)


def create(name: str, settings: Mapping[str, Any]) -> Email:
    """The factory that the entry point names."""
    given = dict(settings)
    if isinstance(given.get("to"), str) and "," not in given["to"]:
        given["to"] = [given["to"]]
    keys, place = checked(name, given, Keys, secrets=("password",)), place_of(name)
    checked_seconds("timeout_seconds", keys.timeout_seconds, place)
    if keys.tls not in _TLS:
        raise BadValue("tls", place, f"it is none of {', '.join(_TLS)}")
    if not 0 <= keys.port <= 65_535:
        raise BadValue("port", place, "there is no such port")
    if keys.username and keys.tls == "none":
        raise BadValue("tls", place, "a password is not sent without TLS; set it to 'starttls' or 'ssl'")
    _check_addresses(keys, place)
    return Email(name, keys)


def _check_addresses(keys: Keys, place: str) -> None:
    if not keys.to:
        raise BadValue("to", place, "it names nobody")
    for key, addresses in (("to", keys.to), ("sender", (keys.sender,))):
        for address in addresses:
            if "@" not in parseaddr(address)[1] or not address.isprintable():
                raise BadValue(key, place, f"{address!r} is no address")


# --- the mail -------------------------------------------------------------------------------------------------------


def mail_of(message: Message, keys: Keys) -> EmailMessage:
    """The mail. What follows up on an incident answers its first mail, so that readers show one thread."""
    mail = EmailMessage()
    mail["Subject"] = cut(title(message), MAX_SUBJECT)
    mail["From"], mail["To"] = keys.sender, ", ".join(keys.to)
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{message.id}@{_DOMAIN}>"
    if message.before is not None and message.before.id:
        mail["In-Reply-To"] = mail["References"] = message.before.id
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's out-of-office answers
    mail["X-Flowtell-Incident"] = message.incident.id
    mail.set_content(plain(message))
    mail.add_alternative(html(message), subtype="html")
    return mail


def plain(message: Message) -> str:
    lines = [title(message), "", message.incident.reason, ""]
    lines += [f"{label}: {value}" for label, value in facts(message)]
    lines += ["", *guilty(message)] if message.digest else []
    lines += ["", *(f"{link.title}: {link.url}" for link in message.links)] if message.links else []
    return "\n".join(lines) + "\n"


def html(message: Message) -> str:
    colour = {"resolved": "#2e7d32", "acknowledged": "#1565c0"}.get(message.kind, "#c62828")
    rows = "".join(
        f"<tr><th align='left'>{escape(label)}</th><td>{escape(value)}</td></tr>" for label, value in facts(message)
    )
    worst = "".join(f"<li>{escape(line)}</li>" for line in guilty(message))
    links = " · ".join(f"<a href='{escape(link.url)}'>{escape(link.title)}</a>" for link in message.links)
    parts = [
        f"<h2 style='color:{colour}'>{escape(title(message))}</h2>",
        f"<p>{escape(message.incident.reason)}</p>",
        f"<table cellpadding='4'>{rows}</table>",
        f"<ul>{worst}</ul>" if worst else "",
        f"<p>{links}</p>" if links else "",
    ]
    return f"<!doctype html><html><body style='font-family:sans-serif'>{''.join(parts)}</body></html>\n"


__all__ = ["Email", "Keys", "create", "html", "mail_of", "plain"]
