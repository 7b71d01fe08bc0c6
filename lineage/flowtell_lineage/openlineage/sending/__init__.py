"""OpenLineage out: runs and assets as OpenLineage events, to any transport of its client."""
