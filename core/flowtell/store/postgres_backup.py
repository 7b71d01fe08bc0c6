"""Backups of a PostgreSQL store by its own programs. The password goes by the environment, never by the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy import URL

from flowtell.errors import BadBackup, ProgramMissing

_LOOK_SECONDS: Final = 0.2


def dump(url: URL, target: str, name: str, done: Callable[[int, int], None]) -> None:
    """All of the database in `pg_dump`'s own format, as it is at one moment."""
    words = ["--format=custom", "--no-password", f"--file={target}", f"--dbname={_without_password(url)}"]
    _run("pg_dump", words, url, name, lambda: done(os.path.getsize(target), 0))


def restore(url: URL, source: str, done: Callable[[int, int], None]) -> None:
    """Into an empty database, in one transaction; owner and rights are those of who restores."""
    words = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--no-password"]
    _run("pg_restore", [*words, f"--dbname={_without_password(url)}", source], url, source, lambda: done(0, 0))


def _without_password(url: URL) -> str:
    return URL.create("postgresql", url.username, None, url.host, url.port, url.database, url.query).render_as_string()


def _run(program: str, words: Sequence[str], url: URL, name: str, look: Callable[[], None]) -> None:
    path = shutil.which(program)
    if path is None:
        raise ProgramMissing(program, "postgresql-client")
    password = {} if url.password is None else {"PGPASSWORD": str(url.password)}
    environment = {**os.environ, **password, "LC_MESSAGES": "C"}
    with subprocess.Popen([path, *words], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            said = _wait(process, look)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        last = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        raise BadBackup(name, f"{program} failed: {last[0] if last else f'exit code {process.returncode}'}")


def _wait(process: subprocess.Popen[bytes], look: Callable[[], None]) -> bytes:
    while True:
        try:
            return process.communicate(timeout=_LOOK_SECONDS)[1]
        except subprocess.TimeoutExpired:
            look()
