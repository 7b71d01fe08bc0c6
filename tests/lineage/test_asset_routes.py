"""`/api/assets` and `/api/lineage` as a server mounts them: pages, moments, keys in paths, and what is refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from flowtell.events import AssetDeclared, AssetFailed, AssetMaterialized, Column, ColumnSource, UpstreamAsset
from flowtell.ids import new_id
from flowtell.runner import Runner
from flowtell.testing import FakeClock, PluginContract, PluginHarness
from flowtell_lineage import plugin
from flowtell_lineage.asset_routes import create

START = FakeClock().now
RAW, ORDERS, REPORT = "postgres://shop/public/orders", "s3://lake/orders", "s3://lake/report"


class TestContract(PluginContract):
    name = "assets"

    def factory(self):
        return create


def _made(asset, *upstream, at=0, kind=AssetMaterialized, **fields):
    edges = tuple(UpstreamAsset(asset=key, evidence="future") for key in upstream)
    return kind(id=new_id(), time=START + at, asset=asset, run=new_id(), flow="nightly", upstream=edges, **fields)


def _events():
    origin = ColumnSource(asset=RAW, column="day", transformation="DIRECT")
    return [
        _made(ORDERS, RAW, columns=(Column(name="day", type="date", origins=(origin,)),), rows=3),
        _made(REPORT, ORDERS, at=10),
        _made(REPORT, ORDERS, at=20, kind=AssetFailed, state="failed"),
        AssetDeclared(id=new_id(), time=START + 15, asset=REPORT, owners=("ada",)),
    ]


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    with PluginHarness(plugin.create, folder, name="lineage") as lineage:
        lineage.feed(_events())
        mounted = {}
        pages = Runner("assets", create, lineage.store, home=str(folder), environment="test", clock=FakeClock())
        pages.on_mount = lambda _, path, app: mounted.__setitem__(path, app)
        pages.open()
        with TestClient(_as_mounted(mounted), base_url="http://127.0.0.1") as client:
            yield client
        pages.close(1)


def _as_mounted(mounted):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        path = next(path for path in mounted if scope["path"].startswith(path))
        await mounted[path]({**scope, "root_path": path}, receive, send)

    return app


def ask(http, path, status=200, **query):
    answer = http.get(f"/api/{path}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def asset(key, *rest):
    return "/".join(("assets", quote(key, safe=""), *rest))


def test_assets_are_listed_page_by_page(http):
    first = ask(http, "assets", limit=2)
    assert ([one["asset"] for one in first["assets"]], first["next"]) == ([RAW, ORDERS], ORDERS)
    second = ask(http, "assets", limit=2, after=first["next"])
    assert ([one["asset"] for one in second["assets"]], second["next"]) == ([REPORT], None)
    assert [one["asset"] for one in ask(http, "assets", text="report")["assets"]] == [REPORT]


def test_an_asset_tells_its_owners_and_its_latest_attempt(http):
    found = ask(http, asset(REPORT))
    assert (found["owners"], found["latest"]["state"], found["made"]["time"]) == (["ada"], "failed", START + 10)


def test_a_key_is_found_in_any_spelling(http):
    assert ask(http, asset("s3a://lake/orders/"))["asset"] == ORDERS


def test_walks_are_paged_and_count_all(http):
    below = ask(http, asset(RAW, "impact"), limit=1)
    assert (below["total"], [(one["asset"], one["distance"]) for one in below["assets"]]) == (2, [(ORDERS, 1)])
    assert [one["asset"] for one in ask(http, asset(RAW, "downstream"), offset=1)["assets"]] == [REPORT]
    assert ask(http, asset(REPORT, "upstream"), steps=1)["total"] == 1


def test_history_goes_on_after_the_last_one_seen(http):
    first = ask(http, asset(REPORT, "history"), limit=1)
    assert [one["state"] for one in first["history"]] == ["failed"]
    second = ask(http, asset(REPORT, "history"), limit=1, after=first["next"])
    assert [one["state"] for one in second["history"]] == ["materialized"]
    assert ask(http, asset(REPORT, "history"), after=second["next"])["history"] == []


def test_columns_staleness_and_what_is_around(http):
    (column,) = ask(http, asset(ORDERS, "columns"))["columns"]
    assert (column["upstream"], column["upstream_column"], column["transformation"]) == (RAW, "day", "DIRECT")
    assert ask(http, asset(REPORT, "staleness"))["made"] == START + 10
    around = ask(http, asset(ORDERS, "neighbourhood"), up=0)
    assert {node["key"]: node.get("hidden_up", 0) for node in around["nodes"]} == {ORDERS: 1, REPORT: 0}


def test_a_path_leads_one_way(http):
    assert ask(http, "lineage/path", **{"from": RAW, "to": REPORT})["path"] == [RAW, ORDERS, REPORT]
    assert ask(http, "lineage/path", **{"from": REPORT, "to": RAW})["path"] == []


def test_an_edge_is_explained(http):
    (edge,) = ask(http, "lineage/explain", **{"from": RAW, "to": ORDERS})["edges"]
    assert edge["evidence"] == "future"


@pytest.mark.parametrize("moment", [str(START + 5), "1970-01-01"])
def test_the_graph_as_it_was(http, moment):
    """A moment is a number of µs, or what the commands take."""
    early = moment.startswith("1970")
    assert ask(http, asset(REPORT), 404, as_of=moment)["code"] == "FT1801"
    assert ask(http, asset(ORDERS), 404 if early else 200, as_of=moment)
    assert REPORT in ask(http, "lineage/diff", before=moment)["added"]


@pytest.mark.parametrize(
    ("path", "query", "status", "word"),
    [
        (asset("s3://lake/report2"), {}, 404, "Did you mean 's3://lake/report'?"),
        (asset("s3://lake/report2", "history"), {}, 404, "Did you mean"),
        ("assets/s3://lake/report", {}, 404, "escaped"),
        ("lineage/path", {"from": RAW}, 400, "from and to"),
        ("lineage/path", {"from": RAW, "to": "x://nowhere"}, 404, "x://nowhere"),
        ("lineage/diff", {}, 400, "before"),
        (asset(RAW, "impact"), {"limit": "many"}, 400, "limit"),
        (asset(RAW), {"as_of": "soon"}, 400, "soon"),
        (asset(RAW), {"mode": "all"}, 400, "mode"),
    ],
)
def test_what_cannot_be_answered_says_why(http, path, query, status, word):
    assert word in ask(http, path, status, **query)["error"]


def test_only_reads_are_answered(http):
    answer = http.delete(f"/api/{asset(REPORT)}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")
