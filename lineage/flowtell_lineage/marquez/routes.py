"""`/api/v1/…` as Marquez answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from flowtell_lineage.jobs import Job
from flowtell_lineage.marquez import catalogue, lineage, shapes, statistics
from flowtell_lineage.names import key_of, split
from flowtell_lineage.questions import run_graph
from flowtell_lineage.reading import Read, get_asset, materializations
from flowtell_lineage.requests import LARGEST_PAGE, Asked, BadQuery, Endpoint, NotKnown, Routes

PREFIX: Final = "/api/v1"
_DEEPEST: Final = 100


def marquez_routes(read: Read, clock: Callable[[], int]) -> Routes:
    """An ASGI application of all that is answered, over one `read`."""
    table = [("GET", path, endpoint) for path, endpoint in MarquezReads(read, clock).paths()]
    return Routes(PREFIX, table, "Marquez's API has nothing of that name here")


class MarquezReads:
    """The endpoints that read."""

    def __init__(self, read: Read, clock: Callable[[], int]) -> None:
        self._read, self._clock = read, clock

    def paths(self) -> list[tuple[str, Endpoint]]:
        return [
            ("lineage", self.lineage),
            ("column-lineage", self.columns),
            ("runlineage/upstream", self.runs_upstream),
            ("events/lineage", self.events),
            ("namespaces", self.namespaces),
            ("namespaces/{}", self.namespace),
            ("namespaces/{}/datasets", self.datasets),
            ("namespaces/{}/datasets/{}", self.dataset),
            ("namespaces/{}/datasets/{}/versions", self.versions),
            ("namespaces/{}/datasets/{}/versions/{}", self.version),
            ("namespaces/{}/jobs", self.jobs),
            ("namespaces/{}/jobs/{}", self.job),
            ("namespaces/{}/jobs/{}/runs", self.job_runs),
            ("namespaces/{}/jobs/{}/versions", self.job_versions),
            ("jobs", self.jobs),
            ("jobs/runs/{}", self.run),
            ("jobs/runs/{}/facets", self.run_facets),
            ("search", self.search),
            ("tags", self.tags),
            ("sources", self.sources),
            ("sources/{}", self.source),
            ("stats/lineage-events", self.run_counts),
            ("stats/{}", self.totals),
        ]

    # --- graphs -------------------------------------------------------------------------------------------------------

    def lineage(self, asked: Asked) -> Any:
        kind, rest = _node(asked)
        depth = asked.number("depth", 20, _DEEPEST)
        if kind == "dataset":
            return lineage.around(self._read, asset=catalogue.asset_of_node(self._read, rest), depth=depth)
        if kind == "job":
            return lineage.around(self._read, job=self._job_of_node(rest), depth=depth)
        raise BadQuery("nodeId names a dataset or a job")

    def columns(self, asked: Asked) -> Any:
        kind, rest = _node(asked)
        downstream = asked.text("withDownstream").lower() == "true"
        if downstream and "#" in rest:
            raise BadQuery("withDownstream is not possible for a version")
        return lineage.columns_around(
            self._read, self._columns_of(kind, rest), asked.number("depth", 20, _DEEPEST), downstream=downstream
        )

    def _columns_of(self, kind: str, rest: str) -> set[tuple[int, str]]:
        if kind == "datasetField":
            asset, column = catalogue.field_of_node(self._read, rest)
            return {place for place in lineage.columns_of_asset(self._read, asset) if place[1] == column}
        if kind == "dataset":
            return lineage.columns_of_asset(self._read, catalogue.asset_of_node(self._read, rest))
        if kind == "job":
            outputs = self._job_of_node(rest).outputs
            return set[tuple[int, str]]().union(*(lineage.columns_of_asset(self._read, asset) for asset in outputs))
        raise BadQuery("nodeId names a dataset, a field or a job")

    def _job_of_node(self, rest: str) -> shapes.KnownJob:
        return catalogue.find_job(self._read, catalogue.candidates(rest.partition("#")[0]))

    def runs_upstream(self, asked: Asked) -> Any:
        """The run, and those that made what it read, so many steps back."""
        todo, told = [asked.text("runId").replace("-", "").lower()], dict[str, Any]()
        for _ in range(asked.number("depth", 10, _DEEPEST) + 1):
            for run in todo:
                told[run] = self._upstream_run(run)
            above = {link.writer for run in todo for link in run_graph(self._read, run) if link.reader == run}
            todo = sorted(above - told.keys())[: LARGEST_PAGE - len(told)]
        return {"runs": list(told.values())}

    def _upstream_run(self, run: str) -> dict[str, Any]:
        found = catalogue.find_run(self._read, run)
        own = {"id": found["id"], "start": found["startedAt"], "end": found["endedAt"], "status": found["state"]}
        inputs = {link.asset for link in run_graph(self._read, run) if link.reader == run}
        job = {"namespace": found["namespaceName"], "name": found["jobName"]}
        return {"run": own, "job": job, "inputs": [shapes.pair(split(asset)) for asset in sorted(inputs)]}

    def events(self, asked: Asked) -> Any:
        limit, offset = asked.number("limit", 100, LARGEST_PAGE), asked.number("offset", 0, 1_000_000)
        ascending = asked.text("sortDirection").lower() == "asc"
        return statistics.last_events(self._read, limit, offset, ascending=ascending)

    # --- lists --------------------------------------------------------------------------------------------------------

    def namespaces(self, asked: Asked) -> Any:
        return {"namespaces": list(asked.page(list(self._namespaces().values())))}

    def namespace(self, asked: Asked) -> Any:
        found = self._namespaces().get(asked.names[0])
        if found is None:
            raise NotKnown(f"namespace '{asked.names[0]}' not found")
        return found

    def _namespaces(self) -> dict[str, dict[str, Any]]:
        """By name."""
        seen: dict[str, list[int]] = {}
        for asset in catalogue.all_assets(self._read):
            seen.setdefault(split(asset.asset).namespace, []).extend((asset.first_seen, asset.last_seen))
        for job in catalogue.known_jobs(self._read):
            seen.setdefault(job.job.namespace, []).extend((job.first_seen, job.last_seen))
        return {
            name: {
                "name": name,
                "createdAt": shapes.iso(min(moments)),
                "updatedAt": shapes.iso(max(moments)),
                "ownerName": "",
                "description": None,
                "isHidden": False,
            }
            for name, moments in sorted(seen.items())
        }

    def datasets(self, asked: Asked) -> Any:
        namespace = _own_namespace(asked.names[0])
        found = [one for one in catalogue.all_assets(self._read) if split(one.asset).namespace == namespace]
        return {"datasets": [shapes.dataset(asset) for asset in asked.page(found)], "totalCount": len(found)}

    def dataset(self, asked: Asked) -> Any:
        return shapes.dataset(self._asset(asked))

    def _asset(self, asked: Asked) -> Any:
        return get_asset(self._read, catalogue.known_asset(self._read, *asked.names[:2]))

    def versions(self, asked: Asked) -> Any:
        found = self._versions(asked)
        return {"versions": list(asked.page(found)), "totalCount": len(found)}

    def version(self, asked: Asked) -> Any:
        for version in self._versions(asked):
            if version["version"] == asked.names[2]:
                return version
        raise NotKnown(f"version '{asked.names[2][:64]}' not found")

    def _versions(self, asked: Asked) -> list[dict[str, Any]]:
        asset = self._asset(asked)
        made = [one for one in materializations(self._read, asset.asset, limit=LARGEST_PAGE) if one.state == "materialized"]
        return [shapes.version(asset, one, self._maker(one.task_run or one.run)) for one in made]

    def _maker(self, run: str) -> dict[str, Any] | None:
        try:
            return catalogue.find_run(self._read, run) if run else None
        except NotKnown:
            return None  # it was forgotten before what it made

    def jobs(self, asked: Asked) -> Any:
        found = catalogue.known_jobs(self._read)
        if asked.names:
            found = [known for known in found if known.job.namespace == asked.names[0]]
        return {
            "jobs": [catalogue.whole_job(self._read, known) for known in asked.page(found)],
            "totalCount": len(found),
        }

    def job(self, asked: Asked) -> Any:
        return catalogue.whole_job(self._read, self._job(asked))

    def _job(self, asked: Asked) -> shapes.KnownJob:
        return catalogue.find_job(self._read, [Job(*asked.names[:2])])

    def job_runs(self, asked: Asked) -> Any:
        limit, offset = asked.number("limit", 100, LARGEST_PAGE), asked.number("offset", 0, 1_000_000)
        found = catalogue.runs_of(self._read, self._job(asked), limit, offset)
        return {"runs": found, "totalCount": offset + len(found)}

    def job_versions(self, asked: Asked) -> Any:
        self._job(asked)
        return {"versions": [], "totalCount": 0}  # a job here has none

    def run(self, asked: Asked) -> Any:
        return catalogue.find_run(self._read, asked.names[0])

    def run_facets(self, asked: Asked) -> Any:
        found = catalogue.find_run(self._read, asked.names[0])
        return {"runId": found["id"], "facets": found["facets"] if asked.text("type", "run") == "run" else {}}

    def search(self, asked: Asked) -> Any:
        wanted, only, namespace = asked.text("q").lower(), asked.text("filter").upper(), asked.text("namespace")
        named: list[tuple[str, Any, int, str]] = []
        if only in ("", "DATASET"):
            named += [
                ("DATASET", split(one.asset), one.last_seen, shapes.dataset_node(one.asset))
                for one in catalogue.all_assets(self._read)
            ]
        if only in ("", "JOB"):
            named += [("JOB", one.job, one.last_seen, shapes.job_node(one.job)) for one in catalogue.known_jobs(self._read)]
        found = [
            {"name": name.name, "updatedAt": shapes.iso(seen), "namespace": name.namespace, "nodeId": node, "type": kind}
            for kind, name, seen, node in named
            if wanted in name.name.lower() and namespace in ("", name.namespace)
        ]
        by_time = asked.text("sort").upper() == "UPDATE_AT"
        found.sort(key=lambda one: one["updatedAt"] if by_time else one["name"], reverse=by_time)
        return {"totalCount": len(found), "results": found[: asked.number("limit", 10, LARGEST_PAGE)]}

    def tags(self, asked: Asked) -> Any:
        found = sorted({tag for asset in catalogue.all_assets(self._read) for tag in asset.tags})
        return {"tags": [{"name": tag, "description": None} for tag in asked.page(found)]}

    def sources(self, asked: Asked) -> Any:
        return {"sources": list(asked.page(list(self._sources().values())))}

    def source(self, asked: Asked) -> Any:
        found = self._sources().get(asked.names[0])
        if found is None:
            raise NotKnown(f"source '{asked.names[0]}' not found")
        return found

    def _sources(self) -> dict[str, dict[str, Any]]:
        """Where datasets are: their namespaces."""
        names = {split(asset.asset).namespace for asset in catalogue.all_assets(self._read)}
        found = self._namespaces()
        return {
            name: {
                "type": name.partition(":")[0].upper(),
                "name": name,
                "createdAt": found[name]["createdAt"],
                "updatedAt": found[name]["updatedAt"],
                "connectionUrl": name,
                "description": "",
            }
            for name in sorted(names)
            if name in found
        }

    # --- counts -------------------------------------------------------------------------------------------------------

    def run_counts(self, asked: Asked) -> Any:
        return statistics.run_counts(self._read, asked.text("period", "DAY"), self._clock())

    def totals(self, asked: Asked) -> Any:
        what, seen = asked.names[0], dict[str, int]()
        if what not in ("jobs", "datasets", "sources"):
            raise NotKnown("there are counts of lineage-events, jobs, datasets and sources")
        if what == "jobs":
            seen = {shapes.job_node(one.job): one.first_seen for one in catalogue.known_jobs(self._read)}
        else:
            for asset in catalogue.all_assets(self._read):
                name = asset.asset if what == "datasets" else split(asset.asset).namespace
                seen[name] = min(asset.first_seen, seen.get(name, asset.first_seen))
        return statistics.totals(seen.values(), asked.text("period", "DAY"), self._clock())


def _own_namespace(namespace: str) -> str:
    """In its one spelling."""
    return split(key_of(namespace, "x")).namespace


def _node(asked: Asked) -> tuple[str, str]:
    """Kind, and what names it."""
    kind, colon, rest = asked.text("nodeId").partition(":")
    if not colon or kind not in ("dataset", "job", "datasetField", "run"):
        raise BadQuery("nodeId is dataset:NAMESPACE:NAME, job:NAMESPACE:NAME or datasetField:NAMESPACE:NAME:FIELD")
    return kind, rest
