"""A flow offered under a name: what is checked when it is made, and what it declares."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flowtell import cron, every, flow, serve
from flowtell.engine.serving.entrance import entrance_of
from flowtell.errors import BadDeployment, BadSchedule, FlowNotReachable
from flowtell.events import DeploymentDeclared
from flowtell.testing import recorder


@flow(owners=["data"])
def nightly(day: int = 1, *, password: str = ""):
    """Every night."""


def test_a_deployment_declares_its_schedules_so_that_lateness_can_be_told_by_others():
    """What a serving process knows stands in the log before it starts anything; secrets do not."""
    made = nightly.to_deployment(
        "berlin",
        schedules=[cron("0 2 * * *", "Europe/Berlin"), every("6h")],
        parameters={"day": 3, "password": "hush"},
        tags=["b"],
    )
    with recorder() as seen:
        made.declare()
    (said,) = seen.of(DeploymentDeclared)
    assert (said.flow, said.deployment, said.owners, said.tags) == ("nightly", "berlin", ("data",), ("b",))
    assert [(one.kind, one.expression, one.tz) for one in said.schedules] == [
        ("cron", "0 2 * * *", "Europe/Berlin"),
        ("every", "21600s", ""),
    ]
    assert said.parameters == {"day": 3, "password": "********"}
    assert said.description == "Every night."


def test_prefect_s_spellings_of_a_schedule_are_taken():
    """`cron` and `interval` as well as `schedule` and `schedules`."""
    made = nightly.to_deployment("x", cron="@daily", interval=timedelta(hours=1), schedule="5 5 * * *")
    assert sorted(one.expression for one in made.schedules) == ["0 0 * * *", "3600s", "5 5 * * *"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parameters": {"day": "soon"}}, "day"),
        ({"parameters": {"night": 1}}, "night"),
        ({"parameters": {"day": object()}}, "not JSON"),
        ({"limit": 0}, "a limit of 0"),
        ({"schedules": ["0 2 * * *", "0 2 * * *"]}, "two of its schedules are '0 2 \\* \\* \\* UTC'"),
    ],
    ids=["wrong type", "unknown", "no JSON", "no room", "twice"],
)
def test_what_could_not_run_is_refused_when_it_is_made(options, words):
    """Not at two in the morning."""
    with pytest.raises(BadDeployment, match=words):
        nightly.to_deployment("x", **options)


def test_a_bad_line_a_bad_name_and_an_unknown_option_are_refused():
    """Each with its own words."""
    with pytest.raises(BadSchedule, match="bad minute"):
        nightly.to_deployment("x", cron="61 * * * *")
    with pytest.raises(BadDeployment, match="slash"):
        nightly.to_deployment("a/b")
    with pytest.raises(TypeError, match="no option 'crom'"):
        nightly.to_deployment("x", crom="* * * * *")


def test_a_flow_that_no_other_process_can_import_is_refused():
    """One made inside a function has no name that a new process finds."""

    @flow
    def hidden(): ...

    with pytest.raises(FlowNotReachable, match="no name of its module"):
        serve(hidden.to_deployment("x"))
    with pytest.raises(BadDeployment, match="given twice"):
        serve(nightly.to_deployment("x"), nightly.to_deployment("x"))


def test_a_flow_with_other_options_is_found_under_its_own_name(flows):
    """The variable that holds it counts, not the function's name."""
    deployment = flows("note").to_deployment("x", parameters={"folder": "/"})
    assert entrance_of(deployment).target.endswith(":note")
