"""Every metric family: name, type, unit, help, labels, buckets and stability, in the order of the page.

The one registry. What is scraped, pushed, documented, drawn and alarmed on is named here first. Labels are bounded:
never a run's id or name, which travel as exemplars.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


class Family(NamedTuple):
    """One metric. `labels` are all that a sample of it may have, but for a histogram's `le`."""

    name: str
    type: Literal["counter", "gauge", "histogram", "summary"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds in the family's unit, without +Inf. The configuration may name others."""
    exemplars: bool = False
    """Whether OpenMetrics shows the trace of a run beside it."""
    stability: Literal["stable", "experimental"] = "stable"
    """A stable family keeps name, type, labels and meaning until the next major version."""

    @property
    def unit(self) -> str:
        """The base unit that the name says: seconds, or nothing for a count."""
        return "seconds" if "_seconds" in self.name else ""

    @property
    def series(self) -> tuple[str, ...]:
        """The names that its samples have."""
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}.get(self.type, ("",))
        return tuple(self.name + suffix for suffix in suffixes)


DURATION_BUCKETS: Final = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 43200.0, 86400.0)
"""Seconds from one to a day; the usual defaults end at ten seconds, before most pipelines have begun."""

_FLOW: Final = ("flow", "environment")
_TASK: Final = ("flow", "task", "environment")
_CAPACITY: Final = ("kind", "pool", "name")
_INCIDENT: Final = ("rule", "severity", "environment")

FLOW_RUNS: Final = Family(
    "flowtell_flow_runs_total", "counter", "Flow runs that ended, by end state.", (*_FLOW, "state"), exemplars=True
)
TASK_RUNS: Final = Family(
    "flowtell_task_runs_total", "counter", "Task runs that ended, by end state.", (*_TASK, "state"), exemplars=True
)
DEPLOYMENT_RUNS: Final = Family(
    "flowtell_deployment_runs_total",
    "counter",
    "Flow runs of a deployment that ended, by end state.",
    ("flow", "deployment", "environment", "state"),
    exemplars=True,
)
FLOW_DURATION: Final = Family(
    "flowtell_flow_run_duration_seconds",
    "histogram",
    "Time from a flow run's start to its end.",
    _FLOW,
    DURATION_BUCKETS,
    exemplars=True,
)
START_DELAY: Final = Family(
    "flowtell_flow_run_start_delay_seconds",
    "histogram",
    "Time from when a flow run was due to its first start; runs without a due time are not in it.",
    _FLOW,
    DURATION_BUCKETS,
    exemplars=True,
)
TASK_DURATION: Final = Family(
    "flowtell_task_run_duration_seconds", "summary", "Time from a task run's start to its end, retries included.", _TASK
)
TASK_RETRIES: Final = Family("flowtell_task_retries_total", "counter", "Attempts of task runs that were tried again.", _TASK)
IN_PROGRESS: Final = Family(
    "flowtell_flow_runs_in_progress", "gauge", "Flow runs that started and have not ended.", (*_FLOW, "state")
)
LAST_SUCCESS: Final = Family(
    "flowtell_flow_last_success_timestamp_seconds",
    "gauge",
    "When a run of the flow last ended completed or cached.",
    _FLOW,
)
LAST_COMPLETION: Final = Family(
    "flowtell_flow_last_completion_timestamp_seconds",
    "gauge",
    "When a run of the flow last ended, in any state.",
    _FLOW,
)
OLDEST_RUNNING: Final = Family(
    "flowtell_flow_oldest_running_start_timestamp_seconds",
    "gauge",
    "When the oldest run in progress started; absent while none is.",
    _FLOW,
)
NEXT_DUE: Final = Family(
    "flowtell_flow_next_due_timestamp_seconds",
    "gauge",
    "When the flow's first run that has not started is due, in the past where it is late; absent while none is.",
    _FLOW,
)
FLOW_INFO: Final = Family(
    "flowtell_flow_info",
    "gauge",
    "Always 1; owners, source and latest version of a declared flow, to join on.",
    (*_FLOW, "owner", "source", "version"),
)
MEASURE: Final = Family("flowtell_measure", "gauge", "Last value that a run stated about itself.", (*_TASK, "name"))
CAPACITY_LIMIT: Final = Family(
    "flowtell_capacity_limit",
    "gauge",
    "Runs that a pool, queue, worker or limit takes at a time; absent without a bound.",
    _CAPACITY,
)
CAPACITY_USED: Final = Family("flowtell_capacity_used", "gauge", "Runs that hold a slot of it.", _CAPACITY)
CAPACITY_LAST_SEEN: Final = Family(
    "flowtell_capacity_last_seen_timestamp_seconds",
    "gauge",
    "When it last gave a sign of life, or was last observed.",
    _CAPACITY,
)
MATERIALIZATIONS: Final = Family(
    "flowtell_asset_materializations_total",
    "counter",
    "Materializations of an asset that ended: materialized, cached or failed.",
    ("asset", "environment", "state"),
    exemplars=True,
)
LAST_MATERIALIZATION: Final = Family(
    "flowtell_asset_last_materialization_timestamp_seconds",
    "gauge",
    "When the asset was last materialized.",
    ("asset", "environment"),
)
INCIDENTS_OPEN: Final = Family("flowtell_incidents_open", "gauge", "Incidents that are open, by kind of rule.", _INCIDENT)
INCIDENTS: Final = Family(
    "flowtell_incidents_total", "counter", "Incidents that were opened, by kind of rule.", _INCIDENT, exemplars=True
)
NOTIFICATIONS: Final = Family(
    "flowtell_notifications_total",
    "counter",
    "Attempts to tell a channel of an incident: sent, failed and to be tried again, or given up.",
    ("channel", "outcome"),
)
EVENTS: Final = Family(
    "flowtell_events_total", "counter", "Events handled, by type; names of one's own as other.", ("type",)
)
CORRECTIONS: Final = Family(
    "flowtell_late_corrections_total", "counter", "Ends that came after a run's first end and changed no total."
)
OVERFLOW: Final = Family(
    "flowtell_series_overflow_total",
    "counter",
    "Changes that went to an __overflow__ series because the metric has as many series as it may.",
    ("metric",),
)
PLUGIN_LAG_EVENTS: Final = Family(
    "flowtell_plugin_lag_events", "gauge", "Events in the log that a plugin has not handled.", ("plugin",)
)
PLUGIN_LAG_SECONDS: Final = Family("flowtell_plugin_lag_seconds", "gauge", "Age of the oldest of those events.", ("plugin",))
PLUGIN_ERRORS: Final = Family(
    "flowtell_plugin_errors_total", "counter", "Calls of a plugin that raised or timed out.", ("plugin",)
)
PLUGIN_DROPPED: Final = Family(
    "flowtell_plugin_dropped_total", "counter", "What a plugin dropped by its own count.", ("plugin",)
)
SOURCE_UP: Final = Family("flowtell_source_up", "gauge", "1 while a source's other side answers, 0 while not.", ("source",))
EVENTS_DROPPED: Final = Family("flowtell_events_dropped_total", "counter", "Events that no journal took.", ("machine",))
WRITER_SKEW: Final = Family(
    "flowtell_writer_skew_seconds",
    "gauge",
    "Server's clock minus that of the machine's writers, where it is widest; includes the way here.",
    ("machine",),
)
LEADER: Final = Family("flowtell_leader", "gauge", "1 where this server leads, 0 where it stands by for another one.")
BUILD_INFO: Final = Family("flowtell_build_info", "gauge", "Always 1; the running version.", ("version",))

FAMILIES: Final = (
    FLOW_RUNS,
    TASK_RUNS,
    DEPLOYMENT_RUNS,
    FLOW_DURATION,
    START_DELAY,
    TASK_DURATION,
    TASK_RETRIES,
    IN_PROGRESS,
    LAST_SUCCESS,
    LAST_COMPLETION,
    NEXT_DUE,
    OLDEST_RUNNING,
    FLOW_INFO,
    MEASURE,
    CAPACITY_LIMIT,
    CAPACITY_USED,
    CAPACITY_LAST_SEEN,
    MATERIALIZATIONS,
    LAST_MATERIALIZATION,
    INCIDENTS_OPEN,
    INCIDENTS,
    NOTIFICATIONS,
    EVENTS,
    CORRECTIONS,
    OVERFLOW,
    PLUGIN_LAG_EVENTS,
    PLUGIN_LAG_SECONDS,
    PLUGIN_ERRORS,
    PLUGIN_DROPPED,
    SOURCE_UP,
    EVENTS_DROPPED,
    WRITER_SKEW,
    LEADER,
    BUILD_INFO,
)
