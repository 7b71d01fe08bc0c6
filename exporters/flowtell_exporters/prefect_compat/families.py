"""The metric families of prometheus-prefect-exporter: names, types and labels as it has them, in its order.

They are facts of that project (`metrics/metrics.py`, state of summer 2026), not our choice: gauges that end in `_total`,
and run ids as labels. Our own are in `flowtell_exporters.families`.
"""

from __future__ import annotations

from typing import Final

from flowtell_exporters.families import Family

DEPLOYMENTS: Final = Family("prefect_deployments_total", "gauge", "Prefect total deployments")
INFO_DEPLOYMENT: Final = Family(
    "prefect_info_deployment",
    "gauge",
    "Prefect deployment info",
    (
        "flow_name",
        "is_schedule_active",
        "deployment_name",
        "path",
        "paused",
        "work_pool_name",
        "work_queue_name",
        "status",
        "tags",
    ),
)
FLOWS: Final = Family("prefect_flows_total", "gauge", "Prefect total flows")
INFO_FLOWS: Final = Family("prefect_info_flows", "gauge", "Prefect flow info", ("flow_name",))
FLOW_RUNS: Final = Family("prefect_flow_runs_total", "gauge", "Prefect total flow runs")
RUN_TIME: Final = Family(
    "prefect_flow_runs_total_run_time",
    "gauge",
    "Run time in seconds of the latest run that ended",
    ("flow_name", "deployment_name"),
)
ONGOING: Final = Family(
    "prefect_flow_runs_ongoing_run_time",
    "gauge",
    "Prefect flow runs ongoing run time in seconds",
    ("deployment_name", "flow_name", "state_name", "flow_run_id"),
)
INFO_FLOW_RUNS: Final = Family(
    "prefect_info_flow_runs",
    "gauge",
    "Flow runs that have not ended or have just ended, by state",
    ("deployment_name", "flow_name", "state_name", "work_queue_name"),
)
FAILED_RUNS: Final = Family(
    "prefect_deployment_failed_flow_runs",
    "gauge",
    "Latest failed or crashed flow run ID per deployment",
    ("deployment_name", "flow_name", "last_failed_run_id", "state_name"),
)
POOLS: Final = Family("prefect_work_pools_total", "gauge", "Prefect total work pools")
INFO_POOLS: Final = Family(
    "prefect_info_work_pools", "gauge", "Prefect work pools info", ("is_paused", "work_pool_name", "type", "status")
)
QUEUES: Final = Family("prefect_work_queues_total", "gauge", "Prefect total work queues")
_QUEUE: Final = (
    "is_paused",
    "work_queue_name",
    "priority",
    "type",
    "work_pool_name",
    "status",
    "healthy",
    "health_check_policy_maximum_late_runs",
    "health_check_policy_maximum_seconds_since_last_polled",
)
INFO_QUEUES: Final = Family("prefect_info_work_queues", "gauge", "Prefect work queues info", _QUEUE)
LATE_RUNS: Final = Family("prefect_work_queues_late_runs_count", "gauge", "Prefect work queues late runs count", _QUEUE)
LEFT_OUT: Final = Family(
    "flowtell_prefect_metrics_left_out",
    "gauge",
    "Series, runs or names that are not on this page because it has as many as it may.",
    ("what",),
)

FAMILIES: Final = (
    DEPLOYMENTS,
    INFO_DEPLOYMENT,
    FLOWS,
    INFO_FLOWS,
    FLOW_RUNS,
    RUN_TIME,
    ONGOING,
    INFO_FLOW_RUNS,
    FAILED_RUNS,
    POOLS,
    INFO_POOLS,
    QUEUES,
    INFO_QUEUES,
    LATE_RUNS,
    LEFT_OUT,
)
