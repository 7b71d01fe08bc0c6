"""What a browser gets over HTTP: every address of a page, nothing from elsewhere, and answers to its questions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import flowtell_dashboard
from flowtell.testing import PluginHarness

ASSETS = sorted((Path(flowtell_dashboard.__file__).parent / "assets").iterdir())
ELSEWHERE = re.compile(r"(?:https?:|wss?:)?//(?!www\.w3\.org/)[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE)


@pytest.mark.parametrize("path", ["/", "/?state=failed", "/runs", "/runs/", "/runs/0123abcd", "/runs/0123abcd/"])
def test_every_page_can_be_opened_by_its_address(client, path):
    """A deep link is the same document, and needs nothing to have been opened before."""
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert "react-entry-point" in answer.text
    assert "/assets/style.css" in answer.text


@pytest.mark.parametrize("path", ["/nosuch", "/runs/a/b", "/docs", "/openapi.json", "/redoc", f"/runs/{'x' * 201}"])
def test_an_address_of_nothing_is_404_with_a_page(client, path):
    """The document still comes, and says that nothing is there; FastAPI's own pages are off."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert "react-entry-point" in answer.text


def test_the_policy_allows_nothing_from_elsewhere_and_no_evaluation(client):
    policy = client.get("/runs/0123abcd").headers["content-security-policy"]
    assert "unsafe-eval" not in policy
    assert "script-src 'self';" in policy
    assert not ELSEWHERE.search(policy)
    assert "frame-ancestors 'none'" in policy


def test_all_scripts_in_the_document_are_files(client):
    """Inline script is what the policy refuses, so none runs: Dash's own rests in a template with its files."""
    html = client.get("/").text
    running = re.sub(r"<template.*?</template>", "", html, flags=re.DOTALL)
    assert re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", running) == []
    assert "/assets/start.js" in running
    assert "dash_renderer" not in running
    sources = re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]+)"', html)
    assert sources
    assert all(source.startswith("/") and not source.startswith("//") for source in sources)


def test_all_files_of_the_document_are_served(client):
    for source in re.findall(r'<(?:script|link)[^>]*(?:src|href)="([^"]+)"', client.get("/").text):
        answer = client.get(source)
        assert answer.status_code == 200, source
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("asset", ASSETS, ids=lambda path: path.name)
def test_no_asset_names_another_origin(asset):
    assert not ELSEWHERE.search(asset.read_text())


def test_the_commercial_edition_of_the_tables_is_not_switched_on(client):
    assert '"enableEnterpriseModules":true' not in client.get("/_dash-layout").text
    assert "async-enterprise" not in client.get("/").text


def test_the_list_answers_its_question(client):
    """The callback behind the list, as the page asks it."""
    answer = _ask(
        client, "runs.rowData", {"id": "seq", "property": "data", "value": 1}, ("place", "search", "?state=failed")
    )
    assert [row["state"] for row in answer["runs"]["rowData"]] == ["failed"]
    assert answer["summary"]["children"].startswith("1 of 6 runs that match")


def test_a_store_that_does_not_answer_is_said_on_the_page(empty: PluginHarness, monkeypatch, caplog):
    """The page keeps what it shows, and the log has the reason."""
    from starlette.testclient import TestClient

    with TestClient(empty.mounted["/"], base_url="http://127.0.0.1:4727") as client:
        client.get("/")

        def busy(_statement):
            raise TimeoutError("database is locked")

        monkeypatch.setattr(empty.store, "read", busy)
        answer = _ask(
            client, "runs.rowData", {"id": "seq", "property": "data", "value": 1}, ("place", "search", ""), whole=True
        )
    assert "TimeoutError" in str(answer["sideUpdate"]["trouble"]["children"])
    assert "a page could not be filled" in caplog.text


def _ask(client, wanted, *inputs, whole=False):
    """Post to the callback that has the output `wanted`."""
    spec = next(each for each in client.get("/_dash-dependencies").json() if wanted in each["output"])
    outputs = [
        dict(zip(("id", "property"), part.rsplit(".", 1), strict=True)) for part in spec["output"].strip(".").split("...")
    ]
    given = [
        each if isinstance(each, dict) else dict(zip(("id", "property", "value"), each, strict=True)) for each in inputs
    ]
    body = {"output": spec["output"], "outputs": outputs, "inputs": given, "changedPropIds": ["seq.data"]}
    answer = client.post("/_dash-update-component", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json() if whole else answer.json()["response"]
