"""OpenLineage: what others send in, and what is sent out."""
