"""Embed thousands of documents: one task run for each, side by side, and back into one index."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from pathlib import Path

from flowtell import Asset, ThreadPoolTaskRunner, flow, materialize, measure, task, unmapped

INDEX = Asset("file://index/documents.jsonl", kind="index")
Vector = list[float]


@task
def documents(count: int) -> list[str]:
    subjects = ["the late train", "a full disk", "the missing partition", "a slow query", "the silent worker"]
    return [f"Note {number}: {subjects[number % 5]} and {subjects[number % 3]}" for number in range(count)]


@task(retries=2, retry_delay_seconds=0.1)
def embed(document: str, dimensions: int) -> Vector:
    """Each word falls on a place and a sign: a stand-in for a model that is asked over the network."""
    vector = [0.0] * dimensions
    for word in document.lower().split():
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        vector[int.from_bytes(digest[:4], "big") % dimensions] += 1 if digest[4] % 2 else -1
    length = math.hypot(*vector) or 1.0
    return [round(value / length, 6) for value in vector]


@materialize(INDEX)
def write(texts: list[str], vectors: list[Vector], path: Path) -> int:
    lines = [json.dumps({"text": text, "vector": vector}) for text, vector in zip(texts, vectors, strict=True)]
    path.write_text("\n".join(lines))
    INDEX.materialize(rows=len(lines), bytes=path.stat().st_size)
    return len(lines)


@flow(task_runner=ThreadPoolTaskRunner(max_workers=16))
def embed_documents(count: int = 2000, dimensions: int = 32, path: Path = Path("index.jsonl")) -> int:
    """Fan out by `.map`, and in again."""
    texts = documents(count)
    rows = write(texts, embed.map(texts, unmapped(dimensions)).result(), path)
    measure("documents", rows)
    return rows


if __name__ == "__main__":
    embed_documents(int(sys.argv[1]) if sys.argv[1:] else 2000)
