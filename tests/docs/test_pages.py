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
