"""OpenLineage events in the shape in which Airflow's provider, dbt-ol and Spark's listener send them.

Written after the specification and the documents of those integrations: who is whose parent, which facets stand where,
and what is odd about them.
"""

from __future__ import annotations

from typing import Any

PRODUCER = "https://example.org/producer"
DAG, LOAD, DBT, MODEL, SPARK, INSERT, TEST = (f"0197{n:04d}-0000-7000-8000-00000000000{n}" for n in range(1, 8))
SHOP, LAKE, WAREHOUSE = "postgres://shop:5432", "s3://lake", "snowflake://org-acc"


def facet(**fields: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": f"{PRODUCER}#/$defs/Facet", **fields}


def dataset(namespace: str, name: str, **facets: Any) -> dict[str, Any]:
    """`outputFacets` and `inputFacets` are given as such."""
    beside = {key: facets.pop(key) for key in ("inputFacets", "outputFacets") if key in facets}
    return {"namespace": namespace, "name": name, "facets": facets, **beside}


def run_event(kind: str | None, second: float, run: str, job: tuple[str, str], **more: Any) -> dict[str, Any]:
    """`run_facets` and `job_facets` go where they belong."""
    return {
        "eventType": kind,
        "eventTime": f"2026-11-20T02:00:{second:09.6f}Z",
        "producer": PRODUCER,
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": run, "facets": more.pop("run_facets", {})},
        "job": {"namespace": job[0], "name": job[1], "facets": more.pop("job_facets", {})},
        "inputs": more.pop("inputs", []),
        "outputs": more.pop("outputs", []),
    }


def parent(run: str, job: tuple[str, str], root: tuple[str, tuple[str, str]] | None = None) -> dict[str, Any]:
    def named(run: str, job: tuple[str, str]) -> dict[str, Any]:
        return {"run": {"runId": run}, "job": {"namespace": job[0], "name": job[1]}}

    return facet(**named(run, job), **({"root": named(*root)} if root else {}))


def schema(*names: str) -> dict[str, Any]:
    return facet(fields=[{"name": name, "type": "VARCHAR"} for name in names])


def columns(**fields: tuple[str, str, str]) -> dict[str, Any]:
    """Each output column from namespace, name and field of one input."""
    return facet(
        fields={
            out: {
                "inputFields": [
                    {
                        "namespace": source[0],
                        "name": source[1],
                        "field": source[2],
                        "transformations": [{"type": "DIRECT", "subtype": "IDENTITY", "masking": False}],
                    }
                ]
            }
            for out, source in fields.items()
        }
    )


DAG_JOB, LOAD_JOB = ("airflow", "etl"), ("airflow", "etl.load")
DBT_JOB, MODEL_JOB = ("dbt", "dbt-run-shop"), ("dbt", "shop.orders_by_day")
SPARK_JOB, INSERT_JOB = ("spark", "compact"), ("spark", "compact.execute_insert_into_table")


def airflow() -> list[dict[str, Any]]:
    """A DAG run with one task: inputs and outputs known at the task's end, SQL and exact columns there too."""
    run = {"nominalTime": facet(nominalStartTime="2026-11-20T02:00:00Z"), "parent": parent(DAG, DAG_JOB, (DAG, DAG_JOB))}
    job = {
        "sql": facet(query="INSERT INTO orders SELECT * FROM raw"),
        "jobType": facet(integration="AIRFLOW", jobType="TASK", processingType="BATCH"),
    }
    made = dataset(
        SHOP,
        "shop.public.orders",
        schema=schema("id", "day"),
        columnLineage=columns(id=(SHOP, "shop.public.raw", "id")),
        outputFacets={"outputStatistics": facet(rowCount=120, size=4096)},
    )
    owned = {"ownership": facet(owners=[{"name": "data", "type": "TEAM"}]), "documentation": facet(description="Nightly")}
    return [
        run_event("START", 0, DAG, DAG_JOB, job_facets=owned),
        run_event("START", 1, LOAD, LOAD_JOB, run_facets=run, job_facets=job),
        run_event(
            "COMPLETE",
            9,
            LOAD,
            LOAD_JOB,
            run_facets=run,
            job_facets=job,
            inputs=[
                dataset(SHOP, "shop.public.raw", inputFacets={"inputStatistics": facet(rowCount=130)}),
                dataset(SHOP, "shop.public.days"),
            ],
            outputs=[made],
        ),
        run_event("COMPLETE", 10, DAG, DAG_JOB, job_facets=owned),
    ]


def dbt() -> list[dict[str, Any]]:
    """A run with one model and its test. The seed is in no input, only in the columns."""
    run = {"parent": parent(DBT, DBT_JOB)}
    made = dataset(
        WAREHOUSE,
        "dwh.mart.orders_by_day",
        schema=schema("day", "country"),
        documentation=facet(description="Orders a day"),
        columnLineage=columns(
            day=(WAREHOUSE, "dwh.mart.orders", "day"), country=(WAREHOUSE, "dwh.mart.countries_seed", "name")
        ),
    )
    assertions = facet(assertions=[{"assertion": "not_null", "success": False, "column": "day", "severity": "error"}])
    tested = dataset(WAREHOUSE, "dwh.mart.orders_by_day", inputFacets={"dataQualityAssertions": assertions})
    error = {"errorMessage": facet(message="1 of 9 tests failed", programmingLanguage="Python")}
    return [
        run_event("START", 20, DBT, DBT_JOB),
        run_event("START", 21, MODEL, MODEL_JOB, run_facets=run, inputs=[dataset(WAREHOUSE, "dwh.mart.orders")]),
        run_event(
            "COMPLETE", 22, MODEL, MODEL_JOB, run_facets=run, inputs=[dataset(WAREHOUSE, "dwh.mart.orders")], outputs=[made]
        ),
        run_event("START", 23, TEST, ("dbt", "shop.orders_by_day.test"), run_facets=run),
        run_event("FAIL", 24, TEST, ("dbt", "shop.orders_by_day.test"), run_facets={**run, **error}, inputs=[tested]),
        run_event("FAIL", 25, DBT, DBT_JOB, run_facets=error),
    ]


def spark() -> list[dict[str, Any]]:
    """An application, whose job tells of inputs at its start, of outputs while it runs, and of nothing at its end."""
    run = {"parent": parent(SPARK, SPARK_JOB), "spark_properties": facet(properties={"spark.master": "yarn"})}
    read = dataset(
        "s3a://lake",
        "/orders/raw",
        symlinks=facet(identifiers=[{"namespace": "hive://meta:10000", "name": "lake.raw", "type": "TABLE"}]),
    )
    made = dataset("s3", "", schema=None) | dataset(LAKE, "orders/compact/", version=facet(datasetVersion="7"))
    other = dataset("dbfs://lakehouse", "/scratch/broadcast")
    return [
        run_event("START", 30, SPARK, SPARK_JOB),
        run_event("START", 31, INSERT, INSERT_JOB, run_facets=run, inputs=[read]),
        run_event("RUNNING", 32, INSERT, INSERT_JOB, run_facets=run, inputs=[other], outputs=[made]),
        run_event("COMPLETE", 33, INSERT, INSERT_JOB, run_facets=run),
        run_event("COMPLETE", 34, SPARK, SPARK_JOB),
    ]


def odd() -> list[dict[str, Any]]:
    """No zone, nanoseconds, ids that are no UUID, null fields, types of one's own, events without runs."""
    lineage = facet(
        entries=[
            {
                "namespace": "a",
                "name": "out1",
                "type": "DATASET",
                "inputs": [{"namespace": "a", "name": "in1", "type": "DATASET"}],
            },
            {
                "namespace": "a",
                "name": "out2",
                "type": "DATASET",
                "inputs": [{"namespace": "a", "name": "in2", "type": "DATASET"}],
            },
        ]
    )
    both = {"inputs": [dataset("a", "in1"), dataset("a", "in2")], "outputs": [dataset("a", "out1"), dataset("a", "out2")]}
    return [
        {
            **run_event("START", 40, "nightly 20", ("odd", "job"), job_facets={"lineage": lineage}, **both),
            "eventTime": "2026-11-20T02:00:40.123456789",
        },
        {**run_event("complete", 41, "nightly 20", ("odd", "job")), "schemaURL": None, "outputs": None, "producer": None},
        run_event("SNAPSHOT", 42, "0197a", ("odd", "other"), inputs=[dataset("a", "in3")]),
        run_event(None, 43, "0197a", ("odd", "other")),
        {
            "eventTime": "2026-11-20T02:00:44Z",
            "job": {"namespace": "odd", "name": "declared", "facets": None},
            "inputs": [dataset("a", "in1")],
            "outputs": [dataset("a", "declared")],
        },
        {
            "eventTime": "2026-11-20T02:00:45Z",
            "dataset": dataset("a", "alone", tags=facet(tags=[{"key": "pii", "value": "true"}]), schema=schema("x")),
        },
    ]


def everything() -> list[dict[str, Any]]:
    return [*airflow(), *dbt(), *spark(), *odd()]
