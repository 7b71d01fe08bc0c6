"""The helpers for tests of a project's own lineage, after real flows."""

from __future__ import annotations

import pytest

from flowtell import flow, materialize
from flowtell_lineage.testing import assert_edges, assert_no_path, lineage_graph

PEOPLE, LAKE, PUBLIC = "postgres://crm/public/people", "s3://lake/people", "s3://public/count"


@pytest.fixture
def flows_have_run(home):
    @materialize(LAKE, asset_deps=[PEOPLE])
    def copy():
        return [1, 2]

    @materialize(PUBLIC)
    def count(rows):
        return len(rows)

    @flow
    def nightly():
        count(copy())

    nightly()


def test_edges_are_there_or_the_test_fails(flows_have_run):
    assert_edges((PEOPLE, LAKE), (LAKE, PUBLIC), exactly=True)
    with pytest.raises(AssertionError, match="no edge s3://public/count -> s3://lake/people"):
        assert_edges((PUBLIC, LAKE))
    with pytest.raises(AssertionError, match="more edges than expected"):
        assert_edges((PEOPLE, LAKE), exactly=True)


def test_a_path_that_must_not_be_is_named_whole(flows_have_run):
    """However many steps it has."""
    assert_no_path("s3://public/*", "*")
    with pytest.raises(AssertionError, match=f"{PEOPLE} -> {LAKE} -> {PUBLIC}"):
        assert_no_path("postgres://crm/*", "s3://public/*", lineage_graph())
