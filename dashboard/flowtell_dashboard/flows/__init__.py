"""Flows: how each does lately, and one of them over its last runs."""
