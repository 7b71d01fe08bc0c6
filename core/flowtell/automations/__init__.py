"""Automations: when an event or its absence matches, a run of a served deployment begins. Plain data, as rules are."""

from __future__ import annotations

from flowtell.automations.statement import Automation, Trigger, automation_of, read_automations, when

__all__ = ["Automation", "Trigger", "automation_of", "read_automations", "when"]
