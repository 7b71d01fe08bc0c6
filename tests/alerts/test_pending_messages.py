"""From events to messages: what another incident explains is not told, and is told as open when it stays bad."""

from __future__ import annotations

import pytest

from flowtell import events as e
from flowtell.rules import failed, stale

from .test_sender import Heard, sender_to

MINUTE = 60.0


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def chain(world, heard):
    """Flow `report` reads what `ingest` makes, each hour; both are well."""
    world.declares(failed(), flow="ingest")
    world.declares(stale(within="90m", severity="error"), flow="report")
    world.adds("notifications", lambda _: sender_to(heard))
    _ingests(world, "a")
    _reports(world, "b")
    world.passes(MINUTE)
    return world


def _ingests(world, run, state="completed"):
    world.starts(run, flow="ingest")
    if state == "completed":
        world.appends(e.AssetMaterialized, run=run, flow="ingest", asset="s3://raw")
    world.ends(run, state, flow="ingest")


def _reports(world, run):
    world.starts(run, flow="report")
    upstream = (e.UpstreamAsset(asset="s3://raw"),)
    world.appends(e.AssetMaterialized, run=run, flow="report", asset="pg://report", upstream=upstream)
    world.ends(run, flow="report")


def _waits(world, minutes):
    for _ in range(int(minutes)):
        world.passes(MINUTE)


def said(heard):
    return [(message.kind, message.incident.rule.kind) for message in heard.messages]


def test_what_follows_its_ancestor_is_never_told(chain, heard):
    """One message for the failure and one for its end; the stale asset is pending and resolves in silence."""
    _ingests(chain, "c", "failed")
    _waits(chain, 150)
    (stale_one,) = [incident for incident in chain.open if incident.rule.kind == "stale"]
    assert stale_one.state == "pending"
    _ingests(chain, "d")
    _waits(chain, 10)
    _reports(chain, "e")
    _waits(chain, 60)
    assert chain.open == []
    assert said(heard) == [("opened", "failed"), ("resolved", "failed")]


def test_what_stays_bad_is_told_as_open(chain, heard):
    """Hours after it opened: its own message, not an update of one that nobody got; and its end."""
    _ingests(chain, "c", "failed")
    _waits(chain, 200)
    _ingests(chain, "d")
    _waits(chain, 10)
    assert said(heard) == [("opened", "failed"), ("resolved", "failed")]
    _waits(chain, 15)
    assert said(heard)[2:] == [("opened", "stale")]
    _reports(chain, "e")
    _waits(chain, 5)
    assert said(heard)[2:] == [("opened", "stale"), ("resolved", "stale")]


def test_a_restart_in_between_changes_nothing(chain, heard):
    """Who explains whom is read back; the quarter of an hour begins anew."""
    _ingests(chain, "c", "failed")
    _waits(chain, 150)
    chain.restarts()
    _ingests(chain, "d")
    _waits(chain, 10)
    chain.restarts()
    _waits(chain, 10)
    assert ("opened", "stale") not in said(heard)
    _waits(chain, 10)
    assert said(heard)[-1] == ("opened", "stale")


def test_a_failed_outer_flow_explains_what_its_inner_one_did_not_make(chain, heard):
    """Runs inside runs wait for the outer ones, also after a restart: who runs inside whom is in the tables."""
    chain.declares(failed(), flow="outer")
    chain.declares(stale(within="90m", severity="error"), flow="inner")
    chain.starts("o1", flow="outer")
    chain.appends(e.FlowRunStarted, run="i1", flow="inner", parent_run="o1")
    chain.appends(e.AssetMaterialized, run="i1", flow="inner", asset="s3://inner")
    chain.ends("i1", flow="inner")
    chain.ends("o1", flow="outer")
    _waits(chain, 1)
    chain.restarts()
    chain.starts("o2", flow="outer")
    chain.ends("o2", "failed", flow="outer")
    _waits(chain, 100)
    (inner,) = [incident for incident in chain.open if incident.subject.name == "s3://inner"]
    (outer,) = [incident for incident in chain.open if incident.flow == "outer"]
    assert (inner.state, inner.inhibited_by) == ("pending", outer.incident)
    assert inner.evidence["explained_by"]["subject"] == "outer"
    assert [message for message in said(heard) if message[1] == "stale"] == [("opened", "stale")]  # that of `report`
