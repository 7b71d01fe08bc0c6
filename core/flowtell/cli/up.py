"""Run the server: it ingests journals, runs plugins and serves HTTP. Or an agent, which ships journals to one."""

from __future__ import annotations

from cyclopts import App

from flowtell.cli.log_output import log_to_stderr
from flowtell.cli.output import Output
from flowtell.cli.signals import interrupted_by_signals
from flowtell.config import Config, load

app = App(name="up")


@app.default
def up(*, host: str | None = None, port: int | None = None, agent: bool = False, url: str | None = None) -> int:
    """Run the server until Ctrl-C or SIGTERM: it ingests journals, runs plugins and serves HTTP.

    Args:
        host: Address to listen on; any but loopback needs a token. Default: server.host, 127.0.0.1.
        port: Port to listen on, 0 for a free one. Default: server.port, 4727.
        agent: Ship this home's journals to a server elsewhere instead, and keep nothing here.
        url: Where that server is; several, divided by commas, are tried in turn. Default: url.
    """
    log_to_stderr()
    output = Output()
    try:
        with interrupted_by_signals():  # uvicorn raises what it caught once more, and the store is still open then
            if agent:
                _ship(load({"url": url}), output)
            else:
                _serve(load({"server.host": host, "server.port": port}), output)
    except KeyboardInterrupt:
        if not agent:
            output.say("Stopped.")
    return 0


def _serve(config: Config, output: Output) -> None:
    from flowtell.server.app import run_server

    def announce(url: str) -> None:
        output.print_facts([("address", url), ("metrics", f"{url}/metrics"), ("home", config.home)])
        output.say("Ctrl-C stops it.")
        output.flush()

    run_server(config, announce=announce)


def _ship(config: Config, output: Output) -> None:
    from flowtell.server.agent import run_agent

    run_agent(config, output.say)
