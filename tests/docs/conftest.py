"""Pages of the docs as a reader follows them: files are written, commands typed, what they print is compared.

In a page, a block in `python` or `toml` whose first line is `# file: NAME` becomes that file. A block in `console` holds
commands behind `$ ` and what they print on a terminal of 100 columns. Ids, times, durations and sizes differ each time and
are not compared; `…` stands for anything, on a line of its own for any number of lines. A command that ends in ` &` goes on
until the end of the page.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]
PORT = "4727"
AGAIN = 8
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# file: (\S+)\n")
VARIES = (
    (r"\x1b\[[0-9;?]*[A-Za-z]", ""),
    (r"\b\d{4}-\d\d-\d\d[ T]", ""),
    (r"\b\d\d:\d\d:\d\d(\.\d+Z?)?\b", "TIME"),
    (r"\b(?=[0-9a-f]*[a-f])(?=[0-9a-f]*\d)[0-9a-f]{8,32}\b|\b\d{8,32}\b|\b[a-f]{8}\b", "ID"),
    (r"\b[\d.]+ ?(ms|s|m|h)\b( \d+ s)?", "SPAN"),
    (r"\b[\d.]+ [kM]?B\b", "SIZE"),
    (r"\b\d+\.\d+e?[-+]?\d*\b", "NUMBER"),
    (r"[ \t]+", " "),
)


class Block(NamedTuple):
    language: str
    text: str
    line: int


def same(text: str) -> list[str]:
    """The lines of an output without what differs each time."""
    for pattern, instead in VARIES:
        text = re.sub(pattern, instead, text)
    return [line.strip() for line in text.replace("\r", "").splitlines() if line.strip()]


def fits(wanted: list[str], found: list[str]) -> bool:
    """Whether the lines are the wanted ones; `…` fits anything."""
    lines = [r"(?:.*\n)*?" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n" for line in wanted]
    return re.fullmatch("".join(lines), "".join(f"{line}\n" for line in found)) is not None


class Reader:
    """Follows one page in a folder and a home of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self._began = folder, []
        self.port = str(_free_port())
        self.site = folder / "site"
        self.environ = {
            **os.environ,
            "FLOWTELL_HOME": str(home),
            "FLOWTELL_SERVER__PORT": self.port,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.site),
            "TERM": "xterm",
            "NO_COLOR": "1",
            "COLUMNS": "100",
            "PYTEST_ADDOPTS": "-p no:dash -p no:randomly -p no:cacheprovider",  # what a reader does not have installed
        }

    @staticmethod
    def blocks(page: Path) -> list[Block]:
        """The blocks of the page."""
        text = page.read_text()
        return [Block(found[1], found[2], text.count("\n", 0, found.start()) + 1) for found in BLOCK.finditer(text)]

    def follow(self, page: Path) -> None:
        """Do what the page says, block by block."""
        for block in self.blocks(page):
            file = FILE.match(block.text)
            if file:
                path = self.folder / file[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text[file.end() :])
            elif block.language == "console":
                self._type(block, f"{page.name}:{block.line}")
            elif block.language == "python":
                exec(compile(block.text, f"{page.name}:{block.line}", "exec"), {"__name__": "a page"})

    def _type(self, block: Block, place: str) -> None:
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, wanted = part.partition("\n")
            found = self._run(command)
            for _ in range(AGAIN if command.startswith("sleep ") else 0):  # who sleeps waits for something
                found = found if fits(same(wanted), same(found)) else self._run(command)
            assert fits(same(wanted), same(found)), f"{place}: $ {command}\n{found}\n--- the page says\n{wanted}"

    def _run(self, command: str) -> str:
        if command.startswith("pip install -e "):
            self._install(self.folder / command.removeprefix("pip install -e ").strip())
            return ""
        command = command.replace(PORT, self.port)
        if command.endswith(" &"):
            return self._begin(command.removesuffix(" &"))
        return on_a_terminal(command, self.folder, self.environ).replace(self.port, PORT)

    def _begin(self, command: str) -> str:
        """Start a server, and wait until it answers."""
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
        self._began.append(subprocess.Popen(command, shell=True, cwd=self.folder, env=self.environ, **quiet))
        for _ in range(300):
            try:
                with urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5):
                    return ""
            except URLError:
                time.sleep(0.1)
        raise TimeoutError(command)

    def _install(self, project: Path) -> None:
        """What pip leaves of a project: its modules, and its entry points where Python looks for them."""
        told = tomllib.loads((project / "pyproject.toml").read_text())["project"]
        shutil.copytree(project, self.site, dirs_exist_ok=True)
        info = self.site / f"{told['name'].replace('-', '_')}-{told['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n")
        groups = told["entry-points"].items()
        lines = [f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items()) for group, names in groups]
        (info / "entry_points.txt").write_text("\n".join(lines))

    def close(self) -> None:
        for process in self._began:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)
            _await_end(process.pid)


def _await_end(group: int) -> None:
    """Until nobody of the process group is left: the shell ends before the server that it began."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)


def on_a_terminal(command: str, folder: Path, environ: dict[str, str]) -> str:
    """What a person would see."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 100, 0, 0))
    process = subprocess.Popen(["bash", "-c", command], cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    while part := _read(ours):
        seen += part
    os.close(ours)
    process.wait(60)
    return seen.decode(errors="replace")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # Linux says that the last one has left by an error
        return b""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture
def reader(tmp_path: Path, home: Path) -> Iterator[Reader]:
    """Somebody who follows a page."""
    someone = Reader(tmp_path, home)
    yield someone
    someone.close()


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT
