"""A real Prefect server in a folder, for the benchmarks that need one: `make prefect-environment` makes what it runs in."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ENVIRONMENT = Path(os.environ.get("PREFECT_ENVIRONMENT", Path.home() / ".cache" / "flowtell-tests" / "prefect"))
WORKLOAD = Path(__file__).parents[1] / "tests" / "sources" / "prefect" / "workload" / "mixed.py"
_TICKS = os.sysconf("SC_CLK_TCK")


def there_is_prefect() -> bool:
    return (ENVIRONMENT / "bin" / "prefect").exists()


class PrefectServer:
    """On a free port of loopback, its database in the folder."""

    def __init__(self, home: Path, **settings: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/api"
        self._home = home
        self._group = 0
        self._environment = {
            **os.environ,
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_LOGGING_LEVEL": "WARNING",
            **settings,
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [ENVIRONMENT / "bin" / "python", "-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        with (self._home / "server.log").open("ab") as log:
            process = subprocess.Popen(
                [*command, "--port", str(self.port)], env=self._environment, stdout=log, stderr=log, start_new_session=True
            )
        self._group = process.pid
        try:
            self._wait()
            yield
        finally:
            os.killpg(process.pid, 9)
            process.wait()

    def _wait(self) -> None:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            try:
                with urlopen(f"{self.url}/health", timeout=2):
                    return
            except (URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError(f"Prefect did not start: {(self._home / 'server.log').read_text()[-500:]}")

    def play(self, *words: str) -> None:
        """Run the workload's script to its end."""
        command = [ENVIRONMENT / "bin" / "python", WORKLOAD, *words]
        subprocess.run(command, env=self._environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def processor(self) -> float:
        """Seconds of processor time that all its processes have used since it started."""
        stats = (_stat(path) for path in Path("/proc").iterdir() if path.name.isdigit())
        return sum((int(stat[11]) + int(stat[12])) / _TICKS for stat in stats if stat and int(stat[2]) == self._group)


def _stat(process: Path) -> list[str]:
    """Fields of `stat` from the state on (proc(5)); none of a process that has ended."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
