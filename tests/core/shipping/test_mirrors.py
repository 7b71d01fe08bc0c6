"""A mirror is its journal, whatever is sent: pieces from anywhere, twice, with gaps, to servers that come and go."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from flowtell.journal import encode_header, new_header
from flowtell.server.batches import Batch
from flowtell.server.mirrors import Mirrors, Misplaced
from flowtell.store import open_store


@pytest.fixture
def store(tmp_path):
    opened = open_store(f"sqlite:///{tmp_path}/flowtell.db")
    yield opened
    opened.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_mirror_is_its_journal(store, tmp_path, seed):
    """Or begins with a hole up to where the log is; `place` never goes back before `logged`, and the backlog is exact."""
    random = Random(seed)
    header = new_header("", "", "")
    first = encode_header(header).encode() + b"\n"
    lines = [os.urandom(random.randrange(40)).hex().encode() + b"\n" for _ in range(300)]
    journal = first + b"".join(lines)
    edges = [len(first)]
    for line in lines:
        edges.append(edges[-1] + len(line))
    mirrors, logged = Mirrors(store, str(tmp_path), 1 << 30), 0
    with store.write() as transaction:
        row = store.log.writer(transaction, header.writer, "journal", file=f"{header.writer}-{header.pid}.jsonl")
    for _ in range(400):
        start, end = sorted(random.choices(range(len(edges)), k=2))
        if random.random() < 0.5:  # as an honest sender does
            start = min(edges.index(max(at for at in edges if at <= place(mirrors, header, first))), end)
        batch = Batch(header, first, edges[start], journal[edges[start] : edges[end]])
        before = place(mirrors, header, first)
        if batch.place > before:
            with pytest.raises(Misplaced) as refused:
                mirrors.receive(batch)
            assert refused.value.receipt.place == before
            continue
        assert mirrors.receive(batch).place == max(before, edges[end])
        mirror = mirrors.of(batch.file)
        content = Path(mirror.path).read_bytes()
        assert content[: len(first)] == first
        assert content[logged:] == journal[logged : len(content)]
        if random.random() < 0.2:
            logged = random.choice([at for at in edges if logged <= at <= mirror.receipt.place])
            with store.write() as transaction:
                store.log.move_writer(transaction, row, place=logged)
            mirrors.note_logged(mirror, logged)
        if random.random() < 0.1:
            mirrors.delete(mirror)
        if random.random() < 0.1:
            mirrors = Mirrors(store, str(tmp_path), 1 << 30)
            mirror = mirrors.of(batch.file)
        assert mirrors.backlog == max(mirror.size - mirror.logged, 0) * (not mirror.deleted)


def place(mirrors, header, first):
    return max(mirrors.of(f"{header.writer}-{header.pid}.jsonl").receipt.place, len(first))
