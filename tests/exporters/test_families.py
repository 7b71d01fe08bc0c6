"""The registry keeps to the practice of Prometheus, and to the names that flowtell has promised."""

from __future__ import annotations

import pytest

from flowtell_exporters.families import FAMILIES

PROMISED = {
    "flow_runs_total": "flow environment state",
    "task_runs_total": "flow task environment state",
    "deployment_runs_total": "flow deployment environment state",
    "flow_run_duration_seconds": "flow environment",
    "flow_run_start_delay_seconds": "flow environment",
    "task_run_duration_seconds": "flow task environment",
    "task_retries_total": "flow task environment",
    "flow_runs_in_progress": "flow environment state",
    "flow_last_success_timestamp_seconds": "flow environment",
    "flow_last_completion_timestamp_seconds": "flow environment",
    "flow_next_due_timestamp_seconds": "flow environment",
    "flow_oldest_running_start_timestamp_seconds": "flow environment",
    "flow_info": "flow environment owner source version",
    "measure": "flow task environment name",
    "capacity_limit": "kind pool name",
    "capacity_used": "kind pool name",
    "capacity_last_seen_timestamp_seconds": "kind pool name",
    "asset_materializations_total": "asset environment state",
    "asset_last_materialization_timestamp_seconds": "asset environment",
    "incidents_open": "rule severity environment",
    "incidents_total": "rule severity environment",
    "notifications_total": "channel outcome",
    "events_total": "type",
    "events_dropped_total": "machine",
    "late_corrections_total": "",
    "plugin_lag_events": "plugin",
    "plugin_lag_seconds": "plugin",
    "plugin_errors_total": "plugin",
    "plugin_dropped_total": "plugin",
    "series_overflow_total": "metric",
    "source_up": "source",
    "writer_skew_seconds": "machine",
    "leader": "",
    "build_info": "version",
}
"""Name without prefix, and labels: what dashboards and alarms of users are made from."""


def test_the_promised_families_are_there_with_their_labels():
    """A name or a label is changed with a decision record, and with this."""
    assert {family.name: family.labels for family in FAMILIES} == {
        f"flowtell_{name}": tuple(labels.split()) for name, labels in PROMISED.items()
    }


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_family_is_named_as_prometheus_asks(family):
    """Counters end in `_total` and nothing else does; moments and durations name their base unit; run ids are no labels."""
    assert family.name.startswith("flowtell_")
    assert family.name.endswith("_total") == (family.type == "counter")
    assert family.name.endswith("_info") <= (family.type == "gauge")
    assert family.unit in family.name
    assert not {"run", "run_id", "task_run", "run_name", "le", "quantile", "job", "instance"} & set(family.labels)
    assert bool(family.buckets) == (family.type == "histogram")
    assert family.help.endswith(".")
    assert "\n" not in family.help
