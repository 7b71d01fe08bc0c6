"""A PostgreSQL of the tests' own, to be restarted, stopped and filled up: initdb in a temporary folder, a free port."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

SETTINGS = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 120
log_min_messages = fatal
"""


def binaries() -> Path | None:
    """The folder with initdb, of the newest version that is installed."""
    if (found := shutil.which("pg_config")) is not None:
        folder = Path(subprocess.check_output([found, "--bindir"], text=True).strip())
        if (folder / "initdb").exists():
            return folder
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return next((folder for folder in reversed(folders) if (folder / "initdb").exists()), None)


class Cluster:
    """Started when made. `close` stops it and removes its folder."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self.folder = Path(tempfile.mkdtemp(prefix="flowtell-cluster-"))
        if os.getuid() == 0:  # PostgreSQL refuses to be root
            shutil.chown(self.folder, "postgres")
        self.port = free_port()
        self._databases = 0
        self._run("initdb", "-D", self.data, "-U", "flowtell", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
        with open(self.data / "postgresql.conf", "a") as file:
            file.write(f"{SETTINGS}\nport = {self.port}\nunix_socket_directories = '{self.folder}'\n")
        self.start()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        self._run("pg_ctl", "start", "-w", "-t", "40", "-D", self.data, "-l", self.folder / "log")

    def stop(self, mode: str = "fast") -> None:
        """`immediate` is as a crash: sessions are cut, and the next start recovers."""
        self._run("pg_ctl", "stop", "-w", "-t", "40", "-m", mode, "-D", self.data)

    def restart(self, mode: str = "immediate") -> None:
        self.stop(mode)
        self.start()

    def revive(self) -> None:
        """Start it where a test has left it stopped."""
        if not self.runs():
            self.start()

    def runs(self) -> bool:
        return (self.data / "postmaster.pid").exists()

    def close(self) -> None:
        if self.runs():
            self.stop("immediate")
        shutil.rmtree(self.folder)

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://flowtell@127.0.0.1:{port or self.port}/{database}"

    def new_database(self, options: str = "") -> str:
        """Its name."""
        self._databases += 1
        name = f"flowtell_{self._databases}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return name

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]  # the test's own text
            return cursor.fetchall() if cursor.description else []

    def dump(self, database: str, file: Path) -> None:
        self._run("pg_dump", "-Fc", "-d", self.url(database), stdout=file)

    def restore(self, database: str, file: Path) -> None:
        self._run("pg_restore", "--no-owner", "--exit-on-error", "-d", self.url(database), stdin=file)

    def _run(self, program: str, *arguments: object, stdin: Path | None = None, stdout: Path | None = None) -> None:
        command = [str(self._bin / program), *map(str, arguments)]
        if os.getuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
        # nothing of a test's surroundings: what the server inherits outlives the test
        surroundings = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        with open(stdin or os.devnull, "rb") as source, open(stdout or os.devnull, "wb") as target:
            done = subprocess.run(
                command,
                cwd="/",
                env=surroundings,
                stdin=source,
                stdout=target,
                stderr=subprocess.PIPE if program != "pg_ctl" else subprocess.DEVNULL,
                check=False,
                timeout=60,
            )
        assert done.returncode == 0, f"{program}: {(done.stderr or b'').decode()}\n{self._log()}"

    def _log(self) -> str:
        file = self.folder / "log"
        return file.read_text(errors="replace")[-2000:] if file.exists() else ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
