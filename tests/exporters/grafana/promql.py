"""What an expression names: metrics, and the labels it matches, groups and joins by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SELECTOR = re.compile(r"(flowtell_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_LISTS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
ADDED = {"instance", "job", "le"}
"""By Prometheus, and by the buckets of a histogram."""


class Named(NamedTuple):
    metric: str
    labels: frozenset[str]


def selectors(expr: str) -> Iterator[Named]:
    """Each metric with the labels it is matched by."""
    for metric, matchers in _SELECTOR.findall(expr):
        yield Named(metric, frozenset(_MATCHER.findall(matchers)))


def grouped(expr: str) -> set[str]:
    """Labels in `by (…)` and its kin."""
    return {label.strip() for labels in _LISTS.findall(expr) for label in labels.split(",") if label.strip()}


def faults(expr: str, families: dict[str, tuple[str, ...]]) -> list[str]:
    """What the expression names that no family has; `families` are labels by the names of series."""
    found, there = [], set(ADDED)
    for metric, labels in selectors(expr):
        if metric not in families:
            found.append(f"no metric {metric}")
            continue
        there |= set(families[metric])
        found += [f"{metric} has no label {label}" for label in labels - set(families[metric]) - ADDED]
    return found + [f"no label {label} in {expr}" for label in grouped(expr) - there]
