"""Write dashboards for Grafana and rules for Prometheus."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from flowtell.cli.options import Json
from flowtell.cli.output import Output
from flowtell.config import load
from flowtell.errors import ExportFailed

app = App(name="grafana", help="Write dashboards for Grafana and rules for Prometheus.")


@app.command
def export(
    folder: Annotated[str, Parameter(help="Folder to write into; it is made where it is missing.")],
    /,
    *,
    flowtell_url: str = "",
    prometheus_url: str = "http://127.0.0.1:9090",
    dashboards_path: str = "",
    traces: str = "",
    late_minutes: float = 15.0,
    stale_days: float = 2.0,
    objective: float = 0.99,
    json: Json = False,
) -> None:
    """Write dashboards, a provisioning folder, rules, and manifests for the Prometheus operator.

    Files that are there are written anew; nothing else is touched.

    Args:
        flowtell_url: Where people reach flowtell's pages. Default: the configured server.
        prometheus_url: Where Grafana reaches Prometheus.
        dashboards_path: Where Grafana will find the dashboards. Default: FOLDER/dashboards.
        traces: The uid of Grafana's data source of traces: exemplars lead there too.
        late_minutes: Minutes after which a run that is due counts as late.
        stale_days: Days without a success or a materialization after which something that came daily is stale.
        objective: Share of runs that should end well.
    """
    from flowtell_exporters.grafana.files import Places, files
    from flowtell_exporters.grafana.rules import Thresholds

    config, output = load(), Output(json=json)
    address = f"{config['server.host']}:{config['server.port']}"
    places = Places(
        flowtell=(flowtell_url or config["url"].split(",")[0] or f"http://{address}").rstrip("/"),
        scrape=address,
        prometheus=prometheus_url,
        dashboards=dashboards_path or os.path.abspath(os.path.join(folder, "dashboards")),
        traces=traces,
    )
    thresholds = Thresholds(late_seconds=late_minutes * 60, stale_days=stale_days, objective=objective)
    written = [_write(Path(folder, name), text) for name, text in files(places, thresholds).items()]
    if json:
        output.print_json({"files": written})
    else:
        for name in written:
            output.print_row([name])
        output.say("Import the dashboards, or start Grafana with this provisioning folder: docs/grafana.md tells how.")


def _write(path: Path, text: str) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExportFailed(str(path), error.strerror or str(error)) from error
    return str(path)
