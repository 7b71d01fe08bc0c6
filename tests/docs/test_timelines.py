"""The pictures of the rules' pages are what their files say, and can be read on any page."""

from __future__ import annotations

import importlib.util
import sys
from xml.etree import ElementTree as ET

import pytest


@pytest.fixture
def timelines(root):
    spec = importlib.util.spec_from_file_location("timelines", root / "docs" / "timelines.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["timelines"] = module  # its types are looked up there when a file is read
    spec.loader.exec_module(module)
    yield module
    del sys.modules["timelines"]


def test_the_pictures_are_not_stale(timelines):
    """`make docs` writes them."""
    for place, picture in timelines.pictures():
        assert place.read_text() == picture, f"{place}: run `make docs`"


def test_every_picture_is_whole_and_says_what_it_shows(timelines):
    """Well-formed, with a title for who sees none, colours for light and dark pages, and nothing outside its frame."""
    for _, picture in timelines.pictures():
        tree = ET.fromstring(picture)  # our own
        space = "{http://www.w3.org/2000/svg}"
        assert len(tree.find(f"{space}title").text) > 40
        assert "prefers-color-scheme: dark" in tree.find(f"{space}style").text
        for bar in tree.iter(f"{space}rect"):
            assert 0 <= float(bar.get("x")) <= float(bar.get("x")) + float(bar.get("width")) <= float(tree.get("width"))


def test_every_rules_page_has_its_picture(root):
    """And shows it."""
    for page in (root / "docs" / "rules").glob("*.md"):
        assert page.with_suffix(".svg").exists(), page
        assert f"({page.stem}.svg)" in page.read_text()
