"""The server wing: what `flowtell up` and the reading commands run."""
