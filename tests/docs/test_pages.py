"""Whoever follows a page comes to what it shows."""

from __future__ import annotations

import shutil

import pytest

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="the page asks the server with curl")


def test_the_readme(reader, root):
    reader.follow(root / "README.md")


@needs_curl
def test_the_tutorial(reader, root):
    reader.follow(root / "docs" / "tutorial.md")


def test_write_a_plugin(reader, root):
    reader.follow(root / "docs" / "plugins.md")


def test_lineage(reader, root):
    reader.follow(root / "docs" / "lineage.md")


def test_rules(reader, root):
    reader.follow(root / "docs" / "rules.md")


def test_caching(reader, root):
    reader.follow(root / "docs" / "caching.md")


def test_testing(reader, root):
    reader.follow(root / "docs" / "testing.md")


def test_artifacts(reader, root):
    reader.follow(root / "docs" / "artifacts.md")


def test_automations(reader, root):
    reader.follow(root / "docs" / "automations.md")


def test_settings(reader, root):
    reader.follow(root / "docs" / "settings.md")


def test_why(reader, root):
    reader.follow(root / "docs" / "why.md")


def test_transactions(reader, root):
    reader.follow(root / "docs" / "transactions.md")


@pytest.mark.slow
def test_back_fills(reader, root):
    reader.follow(root / "docs" / "backfill.md")


@needs_curl
def test_dashboards_made_for_another_exporter(reader, root):
    reader.follow(root / "docs" / "exporters_prefect.md")


def test_grafana(reader, root):
    reader.follow(root / "docs" / "grafana.md")


def test_the_readmes_flow_is_an_example(reader, root):
    """The same code, blank lines apart, for those who would rather run it than copy it."""
    blocks = (block for block in reader.blocks(root / "README.md") if block.language == "python")
    block = next(blocks)  # the first; the next one shows rules alone
    example = (root / "examples" / "shells.py").read_text()
    shown = [line for line in block.text.splitlines() if line and not line.startswith("#")]
    assert shown == [line for line in example.splitlines() if line]
