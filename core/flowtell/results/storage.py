"""Where results are kept: a folder of this machine, or whatever fsspec reaches."""

from __future__ import annotations

import os
from typing import Any, Final, Protocol

from flowtell.errors import ResultStorageMissing
from flowtell.ids import new_id

FOLDER: Final = "results"
"""In the home, where nothing else is said."""


class Storage(Protocol):
    """Files by name. From any thread and process; a file is there whole or not at all, or its checksum tells."""

    is_near: bool
    """Whether reading is a matter of microseconds, which an event loop can wait for."""

    def location(self, name: str) -> str: ...

    def read(self, name: str) -> bytes | None:
        """The file; None where there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Put the file there, in place of an older one.

        Raises:
            Exception: it could not be written; the older one is as it was.
        """


class Folder:
    """Files below one folder, made when the first is written."""

    is_near = True

    def __init__(self, path: str) -> None:
        self._path = path

    def location(self, name: str) -> str:
        return os.path.join(self._path, name[:2], name[2:])

    def read(self, name: str) -> bytes | None:
        try:
            fd = os.open(self.location(name), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with open(fd, "rb", buffering=0) as file:
            return file.read()

    def write(self, name: str, data: bytes) -> None:
        path = self.location(name)
        hidden = os.path.join(os.path.dirname(path), f".{new_id()}")
        try:
            _write(hidden, data)
            os.replace(hidden, path)
        except BaseException:
            _unlink(hidden)
            raise


def _write(path: str, data: bytes) -> None:
    """Not brought to disk: what a power cut leaves of it has a wrong checksum, and is computed again."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o660)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o770, exist_ok=True)
        fd = os.open(path, flags, 0o660)
    with open(fd, "wb", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass


class Remote:
    """Files below an address such as `s3://bucket/results`, with whatever fsspec has configured for it."""

    is_near = False

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs  # type: ignore[import-untyped,import-not-found,unused-ignore]

            self._files, self._root = url_to_fs(url)
        except Exception as error:  # fsspec itself, what it needs for this scheme, or a scheme that it does not know
            raise ResultStorageMissing(url, str(error)) from error
        self._url = url.rstrip("/")

    def location(self, name: str) -> str:
        return f"{self._url}/{name[:2]}/{name[2:]}"

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name[:2]}/{name[2:]}"

    def read(self, name: str) -> bytes | None:
        try:
            data: bytes = self._files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        path = self._path(name)
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(path, data)


def storage_of(place: str) -> Storage:
    """A folder's path, or an address with a scheme. The same object each time.

    Raises:
        ResultStorageMissing: what reaches that address is not installed.
    """
    found = _known.get(place)
    if found is None:
        found = _known[place] = Remote(place) if "://" in place else Folder(os.path.abspath(os.path.expanduser(place)))
    return found


_known: dict[str, Any] = {}
