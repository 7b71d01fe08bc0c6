"""Batches on their way to somebody else: one request and what became of it, and when the next one goes."""
