"""Asset lineage for flowtell: the asset graph and its questions, and OpenLineage events received."""
