"""Train a model from a year of readings. What is read and derived is kept for a day, so another rate costs the fit alone."""

from __future__ import annotations

import math
import random
import sys
from datetime import timedelta
from typing import NamedTuple

from flowtell import Asset, flow, materialize, measure, task, task_input_hash

DAY = timedelta(days=1)
MODEL = Asset("file://models/warmth.json", kind="model", owners=["ml@weather.example"])


class Reading(NamedTuple):
    day: int
    warmth: float


class Model(NamedTuple):
    mean: float
    sine: float
    cosine: float


@task(cache_key_fn=task_input_hash, cache_expiration=DAY)
def readings(year: int) -> list[Reading]:
    """A year of made-up temperatures: in truth this is the slow download."""
    print(f"reading {year}")
    noise = random.Random(year)
    return [Reading(day, 10 - 9 * math.cos(math.tau * day / 365) + noise.gauss(0, 2)) for day in range(365)]


@task(cache_key_fn=task_input_hash, cache_expiration=DAY)
def features(rows: list[Reading]) -> list[tuple[float, float, float]]:
    print(f"features of {len(rows)} readings")
    return [(math.sin(math.tau * row.day / 365), math.cos(math.tau * row.day / 365), row.warmth) for row in rows]


@materialize(MODEL)
def fit(examples: list[tuple[float, float, float]], rate: float, rounds: int) -> Model:
    """Gradient descent on a mean and one wave."""
    mean = sine = cosine = 0.0
    for _ in range(rounds):
        errors = [(mean + sine * s + cosine * c - warmth, s, c) for s, c, warmth in examples]
        mean -= rate * sum(error for error, _, _ in errors) / len(errors)
        sine -= rate * sum(error * s for error, s, _ in errors) / len(errors)
        cosine -= rate * sum(error * c for error, _, c in errors) / len(errors)
    return Model(mean, sine, cosine)


@task
def score(model: Model, examples: list[tuple[float, float, float]]) -> float:
    """The typical error, in degrees."""
    squares = [(model.mean + model.sine * s + model.cosine * c - warmth) ** 2 for s, c, warmth in examples]
    error = math.sqrt(sum(squares) / len(squares))
    measure("typical error", error, "°C")
    return error


@flow(log_prints=True)
def train(year: int = 2025, rate: float = 0.5, rounds: int = 60) -> float:
    """Readings, features, fit, score."""
    examples = features(readings(year))
    error = score(fit(examples, rate, rounds), examples)
    print(f"rate {rate:g}: typically {error:.2f} °C off")
    return error


if __name__ == "__main__":
    train(rate=float(sys.argv[1]) if sys.argv[1:] else 0.5)
