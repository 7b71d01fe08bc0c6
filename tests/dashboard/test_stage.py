"""The timeline's page as HTML that stands in the document before Dash is there."""

from __future__ import annotations

import re

import dash_mantine_components as dmc
from dash import dcc, html

from flowtell_dashboard.shell import shell
from flowtell_dashboard.stage import as_html
from flowtell_dashboard.timeline import page


def test_text_and_attributes_are_escaped():
    """A name with markup is text."""
    said = as_html(html.A(["<b>", html.I("&")], title='"><script>', **{"data-page": ""}))
    assert said == '<a title="&quot;&gt;&lt;script&gt;" data-page="">&lt;b&gt;<i>&amp;</i></a>'


def test_what_only_react_can_draw_is_a_box():
    """With its label, so that nothing moves when the control comes; what is never seen is left out."""
    assert as_html([dcc.Store(id="s"), dmc.Select(id="x", label="Lanes")]) == '<div class="box box-select">Lanes</div>'


def test_it_has_every_part_that_the_script_paints_on():
    """The stage is the page's own layout: each part of the picture is there once."""
    said = as_html(shell(page.layout()))
    for part in (
        "timeline",
        "timeline-canvas",
        "timeline-axis",
        "timeline-strip",
        "timeline-lanes",
        "timeline-summary",
        "live",
    ):
        assert len(re.findall(f'id="{part}"', said)) == 1
    assert 'id="tl-text"' not in said
