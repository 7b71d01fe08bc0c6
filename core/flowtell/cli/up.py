"""Run the server: it ingests journals, runs plugins and serves HTTP."""

from __future__ import annotations

from cyclopts import App

from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.output import Output
from flowtell.cli.signals import interrupted_by_signals
from flowtell.config import load

app = App(name="up")


@app.default
def up(*, host: str | None = None, port: int | None = None) -> int:
    """Run the server until Ctrl-C or SIGTERM: it ingests journals, runs plugins and serves HTTP.

    Args:
        host: Address to listen on; any but loopback needs a token. Default: server.host, 127.0.0.1.
        port: Port to listen on, 0 for a free one. Default: server.port, 4727.
    """
    from flowtell.server.app import run_server

    log_to_stderr()
    config = load({"server.host": host, "server.port": port})
    output = Output()

    def announce(url: str) -> None:
        output.print_facts([("address", url), ("metrics", f"{url}/metrics"), ("home", config.home)])
        output.say("Ctrl-C stops it.")
        output.flush()

    try:
        with interrupted_by_signals():  # uvicorn raises what it caught once more, and the store is still open then
            run_server(config, announce=announce)
    except KeyboardInterrupt:
        output.say("Stopped.")
    return 0
