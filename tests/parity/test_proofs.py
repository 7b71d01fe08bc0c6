"""Every keyword that is called the same is proven somewhere to do what it says: here is where."""

from __future__ import annotations

import re
from functools import cache

import pytest

from .conftest import ROOT

KEYWORDS = "tests/parity/test_keywords.py"
ARTIFACTS = "tests/core/engine/test_artifacts.py::test_each_kind_is_an_event_of_the_run_around_it"
PROGRESS = "tests/core/engine/test_artifacts.py::test_progress_moves_on_under_one_id"
PAUSES = (
    "tests/core/engine/test_pausing.py::test_any_type_can_be_asked_for",
    "tests/core/engine/test_pausing.py::test_nobody_answers_in_time",
    "tests/core/engine/test_pausing.py::test_pauses_are_numbered_and_one_key_is_asked_once",
)
LIMITS = (
    "tests/core/engine/test_limits.py::test_several_places_and_several_names_are_taken_at_once",
    "tests/core/engine/test_limits.py::test_a_block_waits_no_longer_than_it_says",
    f"{KEYWORDS}::test_a_strict_limit_has_to_be_there",
)
FUTURE = ("tests/fundamentals/test_3_submit_and_map.py::test_a_future_says_how_its_run_stands",)
SEVERAL = (f"{KEYWORDS}::test_waiting_for_several_futures",)
CALLS = (f"{KEYWORDS}::test_wait_for", f"{KEYWORDS}::test_return_state_of_a_call")
SUBMITTED = (f"{KEYWORDS}::test_wait_for", f"{KEYWORDS}::test_return_state_of_what_is_submitted")
STATES = (f"{KEYWORDS}::test_return_state_of_a_call",)
TRANSACTIONS = (
    "tests/core/engine/test_transactions.py::test_a_key_is_committed_once",
    "tests/core/engine/test_transactions.py::test_a_block_that_raises_is_undone_the_last_first",
)
POLICIES = (
    "tests/core/engine/test_caching.py::test_policies_add_up_and_leave_out",
    "tests/core/engine/test_caching.py::test_a_policy_of_ones_own",
)

PROVEN: dict[str, tuple[str, ...]] = {
    "prefect.flow": (f"{KEYWORDS}::test_of_flows",),
    "prefect.flows.Flow.with_options": (f"{KEYWORDS}::test_of_flows",),
    "prefect.task": (f"{KEYWORDS}::test_of_tasks",),
    "prefect.tasks.Task.with_options": (f"{KEYWORDS}::test_of_tasks",),
    "prefect.assets.materialize": (
        "tests/fundamentals/test_7_assets.py::test_a_run_that_completes_has_materialized_its_assets",
    ),
    "prefect.flows.Flow.__call__": CALLS,
    "prefect.tasks.Task.__call__": CALLS,
    "prefect.tasks.Task.submit": SUBMITTED,
    "prefect.tasks.Task.map": SUBMITTED,
    "prefect.flows.Flow.to_deployment": (f"{KEYWORDS}::test_keywords_of_deployments",),
    "prefect.flows.Flow.serve": (f"{KEYWORDS}::test_keywords_of_deployments",),
    "prefect.pause_flow_run": PAUSES,
    "prefect.apause_flow_run": (*PAUSES, "tests/core/engine/test_pausing.py::test_an_async_flow_lets_its_loop_go_on"),
    "prefect.events.emit_event": (f"{KEYWORDS}::test_events_of_ones_own",),
    "prefect.unmapped": ("tests/fundamentals/test_3_submit_and_map.py::test_map_submits_once_for_each_element",),
    "prefect.allow_failure": ("tests/fundamentals/test_3_submit_and_map.py::test_failure_can_be_allowed",),
    "prefect.tasks.exponential_backoff": ("tests/parity/test_scripts.py::test_under_flowtell_it_is_as_recorded_of_prefect",),
    "prefect.tasks.task_input_hash": ("tests/core/engine/test_caching.py::test_task_input_hash",),
    "prefect.futures.PrefectFuture.result": FUTURE,
    "prefect.futures.PrefectFuture.wait": FUTURE,
    "prefect.futures.PrefectFuture.add_done_callback": SEVERAL,
    "prefect.futures.PrefectFutureList.result": (f"{KEYWORDS}::test_a_list_of_futures_has_a_time",),
    "prefect.futures.PrefectFutureList.wait": (f"{KEYWORDS}::test_a_list_of_futures_has_a_time",),
    "prefect.futures.wait": SEVERAL,
    "prefect.futures.as_completed": SEVERAL,
    "prefect.futures.resolve_futures_to_results": SEVERAL,
    "prefect.states.State.result": STATES,
    "prefect.states.get_state_exception": STATES,
    "prefect.states.raise_state_exception": STATES,
    "prefect.transactions.transaction": TRANSACTIONS,
    "prefect.transactions.Transaction.get": TRANSACTIONS,
    "prefect.transactions.Transaction.set": TRANSACTIONS,
    "prefect.artifacts.create_table_artifact": (ARTIFACTS,),
    "prefect.artifacts.create_markdown_artifact": (ARTIFACTS,),
    "prefect.artifacts.create_link_artifact": (ARTIFACTS,),
    "prefect.artifacts.create_progress_artifact": (PROGRESS,),
    "prefect.artifacts.update_progress_artifact": (PROGRESS,),
    "prefect.concurrency.sync.concurrency": LIMITS,
    "prefect.concurrency.asyncio.concurrency": (
        "tests/core/engine/test_limits.py::test_a_block_in_a_coroutine_is_limited_by_name",
        *LIMITS,
    ),
    "prefect.task_runners.ThreadPoolTaskRunner": (
        "tests/fundamentals/test_3_submit_and_map.py::test_the_number_of_threads_is_bounded",
    ),
    "prefect.task_runners.ProcessPoolTaskRunner": (
        "tests/core/engine/test_process_runner.py::test_a_body_finds_its_run_and_another_process",
    ),
    "prefect.assets.Asset": ("tests/core/engine/test_asset_statements.py::test_properties_are_an_assets_own",),
    "prefect.assets.AssetProperties": ("tests/core/engine/test_asset_statements.py::test_properties_are_an_assets_own",),
    "prefect.assets.Asset.add_metadata": ("tests/core/engine/test_asset_statements.py::test_metadata_by_key",),
    "prefect.assets.add_asset_metadata": ("tests/core/engine/test_asset_statements.py::test_metadata_by_key",),
    "prefect.input.RunInput.with_initial_data": ("tests/core/engine/test_pausing.py::test_initial_data_may_be_left_out",),
    "prefect.cache_policies.Inputs": POLICIES,
    "prefect.cache_policies.CachePolicy.from_cache_key_fn": (f"{KEYWORDS}::test_a_policy_of_a_key_function",),
    "prefect.cache_policies.CachePolicy.compute_key": POLICIES,
}


@cache
def named_in(file: str) -> frozenset[str]:
    return frozenset(re.findall(r"^(?:async )?def (test_\w+)\(", (ROOT / file).read_text(), re.MULTILINE))


def test_nothing_is_called_the_same_without_a_test(page):
    """What is added to the table needs a line here."""
    same = {path for path, rows in page.all_rows().items() if not path.endswith(":") and any(row.here for row in rows)}
    assert same == set(PROVEN)


@pytest.mark.parametrize("path", PROVEN)
def test_the_tests_are_there(path: str):
    """By their names, in their files."""
    for named in PROVEN[path]:
        file, _, name = named.partition("::")
        assert name in named_in(file)
