"""What `flowtell doctor` looks at. Each check finds one thing out and says which command mends it; none raises."""

from __future__ import annotations

import os
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec

from flowtell.config import Config
from flowtell.errors import FlowtellError, ServerUnreachable, ShippingRefused

Verdict = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One finding."""

    name: str
    verdict: Verdict
    message: str
    mend: str = ""
    """The command or setting that mends it; empty where nothing needs mending."""


_ENOUGH_DISK: Final = 500_000_000
_SKEW_SECONDS: Final = 5.0
_SOON: Final = 7 * 86_400 * 1_000_000
_FIRST_DAY: Final = 1_735_689_600  # 2025-01-01: a clock before it was never set
_NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "ceph",
        "glusterfs",
        "lustre",
        "fuse.sshfs",
        "fuse.glusterfs",
        "afs",
        "beegfs",
    }
)


def run_checks(load: Callable[[], Config]) -> Iterator[Check]:
    """All checks, in the order in which one would mend. Without a configuration the others have nothing to look at."""
    yield python()
    try:
        config = load()
    except FlowtellError as error:
        yield Check(name="configuration", verdict="fail", message=str(error), mend="flowtell config show --sources")
        return
    yield configuration(config)
    reading: tuple[Callable[[Config], Check], ...] = (store, tokens, journals, clock, plugins)
    for check in (home, file_system, disk, server, *(reading if not config["url"] else (store, shipping))):
        try:
            yield check(config)
        except Exception as error:  # noqa: BLE001  # a check that breaks is a finding, and the others go on
            problem = f"{type(error).__name__}: {error}" if not isinstance(error, FlowtellError) else str(error)
            yield Check(name=_title(check), verdict="fail", message=problem, mend="flowtell doctor --debug")


def _title(check: Callable[[Config], Check]) -> str:
    return check.__name__.replace("_", " ")


def python() -> Check:
    import sqlite3

    version = ".".join(map(str, sys.version_info[:3]))
    return Check(name="python", verdict="ok", message=f"Python {version}, SQLite {sqlite3.sqlite_version}")


def configuration(config: Config) -> Check:
    """Misspelt variables and keys are errors of the loading itself, so that here all is well."""
    places = sorted({source for source in config.sources.values() if source != "default"})
    return Check(name="configuration", verdict="ok", message=f"from {', '.join(places)}" if places else "all defaults")


def home(config: Config) -> Check:
    try:
        os.makedirs(config.home, mode=0o770, exist_ok=True)
        with tempfile.TemporaryFile(dir=config.home):
            pass
    except OSError as error:
        message = f"{config.home} takes no file: {error.strerror}; flows run, but their events are dropped"
        return Check(name="home", verdict="fail", message=message, mend="make it writable, or set FLOWTELL_HOME")
    return Check(name="home", verdict="ok", message=config.home)


def file_system(config: Config) -> Check:
    """Locks of a network file system say nothing of a process on another machine."""
    kind = _file_system_of(config.home)
    if kind in _NETWORK_FILE_SYSTEMS:
        message = f"{config.home} lies on {kind}, whose locks cannot tell a dead process from a living one"
        return Check(name="file system", verdict="fail", message=message, mend="set FLOWTELL_HOME to a local folder")
    return Check(name="file system", verdict="ok", message=kind or "local, as far as can be seen")


def _file_system_of(path: str) -> str:
    try:
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            fields = [line.split(" ")[:3] for line in mounts]
    except OSError:
        return ""
    real = os.path.realpath(path)
    around = [(len(place), kind) for _, place, kind in fields if real == place or real.startswith(place.rstrip("/") + "/")]
    return max(around, default=(0, ""))[1]


def disk(config: Config) -> Check:
    import shutil

    free = shutil.disk_usage(config.home).free
    message = f"{free / 1e9:.1f} GB free"
    if free < _ENOUGH_DISK:
        return Check(name="disk", verdict="warn", message=message, mend="flowtell db prune")
    return Check(name="disk", verdict="ok", message=message)


def server(config: Config) -> Check:
    from flowtell.server.role import holder, is_taken

    host, port = config["server.host"], config["server.port"]
    if is_taken(config.home):
        return Check(name="server", verdict="ok", message=f"runs ({holder(config.home)})")
    if config["url"]:
        return Check(name="server", verdict="ok", message="elsewhere")
    if port and _answers(host, port):
        message = f"none runs on this home, and something else listens on {host}:{port}"
        return Check(name="server", verdict="warn", message=message, mend="flowtell up --port 0")
    message = "none runs: no metrics, alerts or pages; runs are kept and shown"
    return Check(name="server", verdict="warn", message=message, mend="flowtell up")


def shipping(config: Config) -> Check:
    """Whether the server that this machine's journals go to takes them."""
    from flowtell.ids import new_id
    from flowtell.server.catch_up import journal_ends
    from flowtell.shipping.sender import Sender

    sender = Sender(config["url"], config["token"])
    try:
        sender.look(new_id())
    except ShippingRefused as error:
        if error.status != 404:  # which is what it says of a writer that nobody has heard of
            return Check(name="shipping", verdict="fail", message=str(error), mend="curl the address, or set FLOWTELL_TOKEN")
    except ServerUnreachable as error:
        return Check(name="shipping", verdict="fail", message=str(error), mend=f"curl {sender.address.url}/healthz")
    finally:
        sender.close()
    waiting = len(journal_ends(config.home))
    return Check(name="shipping", verdict="ok", message=f"to {sender.address.url}, {waiting} journals here")


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host.strip("[]"), port), timeout=0.5).close()
    except OSError:
        return False
    return True


def store(config: Config) -> Check:
    from sqlalchemy import make_url

    from flowtell.store import open_store
    from flowtell.store.reading import Run, list_runs

    url = make_url(config.store_url)
    if url.get_backend_name() == "sqlite" and not os.path.exists(url.database or ""):
        return Check(name="store", verdict="ok", message=f"{url.database} is made at the first command that reads")
    opened = open_store(config.store_url, read_only=True)
    try:
        newest: list[Run] = list_runs(opened.read, limit=1)
    finally:
        opened.close()
    message = f"{url.render_as_string()}, {'has runs' if newest else 'no runs yet'}"
    return Check(name="store", verdict="ok", message=message)


def tokens(config: Config) -> Check:
    """Whoever may read the store reads what the tokens keep from others; and a token may end without anybody noticing."""
    from flowtell.runner import system_clock
    from flowtell.store.tokens import read_tokens

    found, now = read_tokens(config.store_url), system_clock()
    valid = [token for token in found if token.state(now) == "valid"]
    readable = _readable_by_all(config) if found or config["server.token"] else ""
    if readable:
        message = f"everybody on this machine may read {readable}, without any token"
        return Check(name="tokens", verdict="warn", message=message, mend=f"chmod o-rwx {config.home}")
    soon = [token.name for token in valid if token.expires is not None and token.expires - now < _SOON]
    if soon:
        message = f"{', '.join(sorted(soon))} will expire within a week"
        return Check(name="tokens", verdict="warn", message=message, mend="flowtell tokens create NAME --scope …")
    return Check(
        name="tokens", verdict="ok", message=f"{len(valid)} valid" if found else "none: only this machine is served"
    )


def _readable_by_all(config: Config) -> str:
    """The store's file, where it and every folder above let others in; else nothing."""
    from sqlalchemy import make_url

    url = make_url(config.store_url)
    path = os.path.realpath(url.database or "")
    if url.get_backend_name() != "sqlite" or not os.path.isfile(path) or not os.stat(path).st_mode & stat.S_IROTH:
        return ""
    folder = os.path.dirname(path)
    while os.stat(folder).st_mode & stat.S_IXOTH:
        if folder == os.path.dirname(folder):
            return path
        folder = os.path.dirname(folder)
    return ""


def journals(config: Config) -> Check:
    from flowtell.server.catch_up import catch_up, journal_ends, journals_too_new

    freshness = catch_up(config)
    count = len(journal_ends(config.home))
    if freshness.message:
        return Check(name="journals", verdict="warn", message=freshness.message, mend="flowtell up")
    later = journals_too_new(config.home)
    if later:
        return Check(name="journals", verdict="warn", message=str(later[0]), mend="pip install --upgrade flowtell")
    return Check(name="journals", verdict="ok", message=f"{count} on disk, all read")


def clock(config: Config) -> Check:
    """A skew is the smallest time between an event and its arrival; only one of another machine says much."""
    from sqlalchemy import select

    from flowtell.store import open_store
    from flowtell.store.tables import writers

    if time.time() < _FIRST_DAY:
        return Check(name="clock", verdict="fail", message=time.ctime(), mend="set this machine's clock")
    opened = open_store(config.store_url, read_only=True)
    try:
        behind = select(writers.c.machine, writers.c.skew).where(writers.c.skew < -_SKEW_SECONDS)
        rows = opened.read(behind.order_by(writers.c.last_read.desc()).limit(1))
    finally:
        opened.close()
    if rows:
        message = f"events of {rows[0].machine or 'a machine'} come {-rows[0].skew:.0f} s from the future"
        return Check(name="clock", verdict="warn", message=message, mend="run NTP on both machines")
    return Check(name="clock", verdict="ok", message=time.strftime("%Y-%m-%d %H:%M:%S %z"))


def plugins(config: Config) -> Check:
    from flowtell.server.discovery import discover, make_runners
    from flowtell.store import open_store

    opened = open_store(config.store_url, read_only=True)
    try:
        runners, refused = make_runners(config, opened)
    finally:
        opened.close()
    if refused:
        message = "; ".join(str(error) for error in refused)
        mend = f"flowtell plugins list, or FLOWTELL_PLUGINS__DISABLE={refused[0].name}"
        return Check(name="plugins", verdict="fail", message=message, mend=mend)
    clashes = [spec.problem for spec in discover(config) if spec.problem]
    if clashes:
        return Check(name="plugins", verdict="warn", message="; ".join(clashes), mend="flowtell plugins list")
    names = ", ".join(runner.name for runner in runners) or "none installed"
    return Check(name="plugins", verdict="ok", message=names)
