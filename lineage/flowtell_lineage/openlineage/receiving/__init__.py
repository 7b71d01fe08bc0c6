"""OpenLineage in: documents become events like any other, written into a journal before they are answered."""
