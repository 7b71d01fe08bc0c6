"""Reads in the shapes of the Marquez API, so that its clients and its pages work against flowtell."""
