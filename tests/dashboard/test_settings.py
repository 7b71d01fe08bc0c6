"""What `[plugin.dashboard]` may say, and what it is refused for at start."""

from __future__ import annotations

import pytest

from flowtell.errors import BadValue, UnknownKey
from flowtell_dashboard.settings import Settings, settings_of

TEMPLATE = "https://tempo.example/trace/{trace}?org=1"


def test_a_trace_is_linked_where_the_template_has_its_place() -> None:
    settings = settings_of({"trace_url": TEMPLATE})
    assert settings.trace_link("4bf9") == "https://tempo.example/trace/4bf9?org=1"
    assert settings.trace_link("a/../b?") == "https://tempo.example/trace/a%2F..%2Fb%3F?org=1"
    assert not settings.trace_link("")
    assert not Settings().trace_link("4bf9")


@pytest.mark.parametrize(
    "template",
    ["javascript:alert('{trace}')", "tempo/{trace}", "https:///{trace}", "https://tempo.example/", "https://{trace}/"],
)
def test_a_template_that_leads_nowhere_is_refused_at_start(template: str) -> None:
    with pytest.raises(BadValue, match="trace_url"):
        settings_of({"trace_url": template})


def test_what_is_no_setting_is_refused() -> None:
    with pytest.raises(UnknownKey):
        settings_of({"traceurl": TEMPLATE})
    with pytest.raises(BadValue):
        settings_of({"trace_url": 3})
