"""`flowtell alerts …`: incidents, the rules that open them, silences. One file for each thing that is done."""

from __future__ import annotations

from cyclopts import App

from flowtell_alerts.commands.acknowledging import acknowledge
from flowtell_alerts.commands.dead import app as dead
from flowtell_alerts.commands.explaining import explain_command
from flowtell_alerts.commands.listing import list_incidents, list_rules
from flowtell_alerts.commands.rehearsing import dry_run
from flowtell_alerts.commands.silencing import list_silences, silence, unsilence
from flowtell_alerts.commands.testing_channels import try_channel

app = App(name="alerts", help="Look at incidents and at the rules that open them, acknowledge and silence.")

app.command(list_incidents, name="list")
app.command(list_rules, name="rules")
app.command(acknowledge, name="ack")
app.command(silence, name="silence")
app.command(list_silences, name="silences")
app.command(unsilence, name="unsilence")
app.command(try_channel, name="test")
app.command(explain_command, name="explain")
app.command(dry_run, name="dry-run")
app.command(dead)

__all__ = ["app"]
