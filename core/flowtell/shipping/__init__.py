"""Journals on their way to a server elsewhere. Loaded only where a server's address is configured.

Ground floor: the standard library and the journal, nothing else. `http.client` is imported on the shipper's own thread.
"""
