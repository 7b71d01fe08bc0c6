"""What of a transaction has been done, on disk: lines in a file, under a lock that falls with the process.

The next start of the flow finds records that nobody holds and ends them: see `transaction_recovery`.
"""

from __future__ import annotations

import fcntl
import os
import pickle
from base64 import b64decode, b64encode
from itertools import count
from typing import Any, Final

import msgspec

from flowtell.bus import settings, warn_once
from flowtell.engine.context import current
from flowtell.engine.kept_file import path_for
from flowtell.errors import TransactionNotKept
from flowtell.ids import new_id
from flowtell.results.serializers import without_secrets

FOLDER: Final = "transactions"
_COMMITTED: Final = "committed"
_SUFFIX: Final = ".jsonl"


class Record:
    """Of one outermost transaction. From any thread; a forked child lets go of it and writes nothing."""

    def __init__(self, path: str, fd: int) -> None:
        self.path, self._fd = path, fd
        self._numbers = count(1)
        _held[id(self)] = self

    def next_number(self) -> int:
        return next(self._numbers)

    def say(self, what: str, **more: Any) -> None:
        """One line, in one write."""
        if self._fd < 0:
            return
        try:
            os.write(self._fd, msgspec.json.encode({"what": what, **more}) + b"\n")
        except OSError as error:
            warn_once(TransactionNotKept(self.path, str(error.strerror)))

    def say_value(self, number: int, name: str, value: Any) -> None:
        """Without the value where it cannot be pickled: whoever asks for it after a kill is told so."""
        try:
            kept = b64encode(without_secrets(pickle.dumps(value))).decode()
        except Exception:  # noqa: BLE001  # whatever a user's object raises, or a secret in it
            kept = ""
        self.say("value", n=number, name=name, value=kept)

    def close(self) -> None:
        """All is decided."""
        _held.pop(id(self), None)
        if self._fd >= 0:
            _remove(self.path)
            os.close(self._fd)
            self._fd = -1

    def let_go(self) -> None:
        """The file stays for whoever looks next: in a forked child it is the parent's."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


_held: dict[int, Record] = {}


def _forked() -> None:
    for record in _held.values():
        record.let_go()
    _held.clear()


os.register_at_fork(after_in_child=_forked)


def open_record(key: str) -> Record | None:
    """None outside of flow runs, and where the home takes no file: then nothing can be undone after a kill."""
    run = current.get()
    if run is None or not run.scope.flow:
        return None
    path = os.path.join(folder_of(run.scope.flow), f"{new_id()}{_SUFFIX}")
    hidden = path.removesuffix(_SUFFIX) + ".new"
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        fd = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)  # before it comes into view, as nobody may take it for one that was left
        os.rename(hidden, path)
    except OSError as error:
        warn_once(TransactionNotKept(path, str(error.strerror)))
        return None
    record = Record(path, fd)
    record.say("flow", run=run.scope.run, root_run=run.scope.root_run, flow=run.scope.flow, key=key)
    return record


def take_left(flow: str) -> list[tuple[Record, list[dict[str, Any]]]]:
    """The records of this flow whose processes are gone, each with its lines; held from now on."""
    folder = folder_of(flow)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    taken = (_take(os.path.join(folder, name)) for name in names if name.endswith(_SUFFIX))
    return [one for one in taken if one is not None]


def _take(path: str) -> tuple[Record, list[dict[str, Any]]] | None:
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except OSError:  # whoever holds it has just ended it
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            return Record(path, fd), _lines(path)
    except OSError:
        pass
    os.close(fd)
    return None


def _lines(path: str) -> list[dict[str, Any]]:
    """A last line that was cut by the kill is none."""
    found = []
    with open(path, "rb") as file:
        for line in file:
            try:
                found.append(msgspec.json.decode(line, type=dict[str, Any]))
            except msgspec.MsgspecError:
                break
    return found


def value_of(line: dict[str, Any]) -> Any:
    """A value as it was set.

    Raises:
        Exception: what unpickling it raises.
    """
    return pickle.loads(b64decode(line["value"]))  # noqa: S301  # of a file that only this user can write


def _remove(path: str) -> None:
    """And its folders, where they are empty: a flow that starts looks no further than whether there is one."""
    try:
        os.unlink(path)
        os.rmdir(os.path.dirname(path))
        os.rmdir(os.path.dirname(os.path.dirname(path)))
    except OSError:
        pass


def folder_of(flow: str) -> str:
    config = settings()
    return path_for(os.path.join(config.home, FOLDER), flow, config["environment"], flow).removesuffix(".json")


# --- keys that were committed


def has_committed(key: str) -> bool:
    return os.path.exists(_mark_of(key))


def note_committed(key: str) -> None:
    path = _mark_of(key)
    try:
        os.makedirs(os.path.dirname(path), mode=0o770, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o660))
    except OSError as error:
        warn_once(TransactionNotKept(path, str(error.strerror)))


def _mark_of(key: str) -> str:
    config = settings()
    return path_for(os.path.join(config.home, _COMMITTED), key, config["environment"], key)
