"""Asset lineage for flowtell: the asset graph, OpenLineage out and in."""
