"""Answers to paused runs: the file of a home in which they wait, and what both sides of it check."""

from __future__ import annotations
