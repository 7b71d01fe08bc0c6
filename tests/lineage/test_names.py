"""Keys and OpenLineage names: each pair has one key, each key one pair, and one dataset one spelling."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from openlineage.client.naming import dataset as naming

from flowtell.events import AssetMaterialized, UpstreamAsset
from flowtell.ids import new_id
from flowtell.testing import FakeClock, PluginHarness
from flowtell_lineage.names import Name, canonical, canonical_name, key_of, split
from flowtell_lineage.plugin import create
from flowtell_lineage.reading import get_asset, materializations, whole_graph

STORES = [
    (naming.Athena("eu-west-1", "cat", "db", "t"), "awsathena://athena.eu-west-1.amazonaws.com/cat/db/t"),
    (naming.AWSGlue("eu-west-1", "123456789012", "db", "t"), "arn://aws:glue:eu-west-1:123456789012/table/db/t"),
    (naming.AzureCosmosDB("h.documents.azure.com", "db", "t"), "azurecosmos://h.documents.azure.com/dbs/db/colls/t"),
    (naming.AzureDataExplorer("h", "db", "t"), "azurekusto://h.kusto.windows.net/db/t"),
    (naming.AzureSynapse("h", "1433", "s", "t"), "sqlserver://h/s/t"),
    (naming.BigQuery("p", "d", "t"), "bigquery://p/d/t"),
    (naming.Cassandra("h", "9042", "k", "t"), "cassandra://h/k/t"),
    (naming.MySQL("h", "3307", "db", "t"), "mysql://h:3307/db/t"),
    (naming.CrateDB("h", "4200", "db", "s", "t"), "crate://h/db/s/t"),
    (naming.DB2("h", "50000", "db", "s", "t"), "db2://h/db/s/t"),
    (naming.OceanBase("h", "2881", "db", "t"), "oceanbase://h/db/t"),
    (naming.Oracle("h", "1521", "svc", "s", "t"), "oracle://h/svc/s/t"),
    (naming.Postgres("h", "5432", "db", "s", "t"), "postgres://h/db/s/t"),
    (naming.Teradata("h", "1025", "db", "t"), "teradata://h/db/t"),
    (naming.Redshift("c", "eu-west-1", "5439", "db", "s", "t"), "redshift://c.eu-west-1/db/s/t"),
    (naming.Snowflake("org", "acc", "db", "s", "t"), "snowflake://org-acc/db/s/t"),
    (naming.Trino("h", "8080", "c", "s", "t"), "trino://h/c/s/t"),
    (naming.ABFSS("c", "svc", "a/b.parquet"), "abfss://c@svc.dfs.core.windows.net/a/b.parquet"),
    (naming.DBFS("w", "/a/b"), "dbfs://w/a/b"),
    (naming.GCS("b", "a/b"), "gs://b/a/b"),
    (naming.HDFS("nn", "8020", "/a/b"), "hdfs://nn/a/b"),
    (naming.Hive("h", "10000", "db", "t"), "hive://h/db/t"),
    (naming.Kafka("h", "9092", "orders.v1"), "kafka://h/orders.v1"),
    (naming.LocalFileSystem("/a/b.csv"), "file:///a/b.csv"),
    (naming.RemoteFileSystem("h", "/a/b.csv"), "file://h/a/b.csv"),
    (naming.S3("Bucket", "a/b.parquet"), "s3://Bucket/a/b.parquet"),
    (naming.WASBS("c", "svc", "a/b"), "wasbs://c@svc.dfs.core.windows.net/a/b"),
    (naming.PubSubNaming(naming.PubSubResourceType.TOPIC, "p", "id"), "pubsub://topic:p:id"),
]


@pytest.mark.parametrize(("store", "key"), STORES, ids=lambda value: type(value).__name__)
def test_every_store_of_the_naming_page_has_its_key(store, key):
    """As the client's own naming classes spell them, and back to the very same texts."""
    pair = store.get_namespace(), store.get_name()
    assert key_of(*pair) == key
    assert split(key) == pair


def test_no_store_of_the_client_is_missing():
    protocols = {"DatasetNaming", "PubSubResourceType"}
    known = {kind for kind in dir(naming) if isinstance(getattr(naming, kind), type)}
    told = {kind for kind in known if getattr(naming, kind).__module__ == naming.__name__} - protocols
    assert told == {type(store).__name__ for store, _ in STORES}


@pytest.mark.parametrize(
    ("written", "one"),
    [
        ("s3a://lake/orders/", "s3://lake/orders"),
        ("s3n://lake//orders", "s3://lake/orders"),
        ("postgresql://shop/public/orders", "postgres://shop/public/orders"),
        ("postgresql+psycopg://me:secret@SHOP:5432/db/public/orders", "postgres://shop/db/public/orders"),
        ("POSTGRES://shop:5433/db/s/t/", "postgres://shop:5433/db/s/t"),
        ("arn:aws:glue:eu-west-1:1:table/db/t", "arn://aws:glue:eu-west-1:1/table/db/t"),
        ("hdfs://nn:8020/a/", "hdfs://nn/a"),
        ("kafka://a:9092,b:9092/t", "kafka://a:9092,b:9092/t"),
        ("orders", "orders"),
    ],
)
def test_one_dataset_has_one_spelling(written, one):
    assert canonical(written) == one
    assert canonical(one) == one


def test_a_slash_in_front_or_none_is_the_same_path():
    assert key_of("s3://lake", "/orders") == key_of("s3://lake/", "orders") == "s3://lake/orders"
    assert key_of("hdfs://nn:8020", "orders") == key_of("hdfs://nn", "/orders/") == "hdfs://nn/orders"


@pytest.mark.parametrize(
    "pair",
    [
        ("food_delivery", "public.delivery_7_days"),
        ("https://host/path", "x"),
        ("file", "a/relative/path"),
        ("file", "C:\\data\\x"),
        ("bigquery://other", "p.d.t"),
        ("dataset://x", "y"),
        ("a%2Fb", "c"),
        ("arn:aws:s3:::bucket/inside", "x"),
        ("flowtell", "s3://lake/orders"),
        ("flowtell", "arn:aws:glue:r:1:table/db/t"),
        ("postgres://h:5432", 'db."a/b".t%2Ex'),
        ("", "x"),
        ("pubsub", "subscription:p:id"),
        ("inmemory://", "1f2e"),
        ("duckdb:///srv/shop.duckdb", "a/b"),
        ("duckdb:///srv/shop.duckdb", ""),
        ("duckdb://srv", "shop.duckdb/x"),
    ],
)
def test_what_is_odd_keeps_both_its_texts(pair):
    """Namespaces that are no address, slashes and dots in odd places, names that look like keys."""
    assert split(key_of(*pair)) == pair


@pytest.mark.parametrize(
    ("pair", "key"),
    [
        (("duckdb:///srv/shop.duckdb", "shop.main.orders"), "duckdb:///srv/shop.duckdb/shop.main.orders"),
        (("duckdb://shop.duckdb", "shop.main.orders"), "duckdb://shop.duckdb/shop.main.orders"),
        (("duckdb://:memory:", "memory.main.orders"), "duckdb://:memory:/memory.main.orders"),
        (("sqlite:///srv/shop.db", "orders"), "sqlite:///srv/shop.db/orders"),
    ],
)
def test_a_table_in_a_database_that_is_a_file_has_a_key_to_read(pair, key):
    """As `dbt-ol` spells them: no page of OpenLineage's names them."""
    assert key_of(*pair) == key
    assert split(key) == pair


def test_names_that_differ_have_keys_that_differ():
    """A dot in a table's quoted name is no separator."""
    names = ["a.b.c", "a/b.c", "a.b/c", "a/b/c", "a%2Eb.c", "a.b%2Ec", "a%2Fb.c"]
    assert len({key_of("postgres://h:5432", name) for name in names}) == len(names)


def test_two_systems_spellings_meet_in_the_graph(tmp_path):
    """A flow here reads with `s3a`, another wrote with `s3`; found by either."""
    with PluginHarness(create, tmp_path, name="lineage") as harness:
        harness.feed(
            [_made("s3://lake/orders", "postgresql://shop:5432/db/s/raw"), _made("s3://lake/report", "s3a://lake/orders/")]
        )
        graph = whole_graph(harness.read)
        found = get_asset(harness.read, "s3a://lake/orders")
        assert materializations(harness.read, "s3n://lake/orders") == [found.made]
    assert {(edge.upstream, edge.downstream) for edge in graph.edges} == {
        ("postgres://shop/db/s/raw", "s3://lake/orders"),
        ("s3://lake/orders", "s3://lake/report"),
    }
    assert len(graph.assets) == 3


def _made(asset, upstream):
    fields = {"upstream": (UpstreamAsset(asset=upstream, evidence="declared"),), "run": new_id()}
    return AssetMaterialized(id=new_id(), time=FakeClock().now, asset=asset, **fields)


# --- for all ------------------------------------------------------------------------------------------------------

SCHEMES = ["postgres", "postgresql", "s3", "s3a", "hdfs", "file", "bigquery", "pubsub", "kafka", "arn", "dataset", "odd",
           "azurecosmos", "snowflake", "inmemory", "mysql+pymysql", "duckdb", "duckdb:"]  # fmt: skip
TEXT = st.text(alphabet="aB1./%2EF:@-é ", max_size=12)
KEYS = st.builds("{}://{}".format, st.sampled_from(SCHEMES), TEXT) | TEXT
NAMESPACES = (
    st.builds("{}://{}".format, st.sampled_from(SCHEMES), TEXT) | TEXT | st.sampled_from(["file", "bigquery", "pubsub"])
)


@given(KEYS)
@settings(max_examples=400, deadline=None)
@example("azurecosmos://h/dbs/")
@example("arn:::::x")
def test_a_key_comes_back(key):
    """To its one spelling, which stays what it is."""
    one = canonical(key)
    assert canonical(one) == one
    assert key_of(*split(one)) == one


@given(NAMESPACES, TEXT)
@settings(max_examples=400, deadline=None)
def test_a_name_comes_back(namespace, name):
    """To its one spelling, and a spelling has one key."""
    key, pair = key_of(namespace, name), canonical_name(namespace, name)
    assert key_of(*pair) == key
    assert split(key) == pair == canonical_name(*pair)


def test_ten_thousand_random_names_have_ten_thousand_keys():
    """Of tables, objects, topics and namespaces of one's own, none of which is spelled in two ways."""
    draw = random.Random(8)
    word = lambda: "".join(draw.choices("abcdefgh_%.é-", k=draw.randint(1, 9))).strip(".") or "x"  # noqa: E731
    hosts = ["postgres://{}:5432", "s3://{}", "kafka://{}:9092", "snowflake://{}", "odd://{}", "{}"]
    pairs = {Name(draw.choice(hosts).format(re.sub("[^a-h]", "", word()) or "h"), word()) for _ in range(30_000)}
    pairs = {pair for pair in pairs if pair.namespace not in ("file", "flowtell")}
    assert len(pairs) >= 10_000
    assert len({key_of(*pair) for pair in pairs}) == len(pairs)
    assert all(split(key_of(*pair)) == pair for pair in pairs)
