"""Who decodes a Struct takes its decoder from `flowtell.decoders`, where types are built by one thread at a time."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOME = ROOT / "core/flowtell/decoders.py"
SOURCES = [
    path
    for folder in ("core/flowtell", "exporters", "lineage", "alerts", "dashboard", "sources")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != HOME
]
PLAIN = {"Any", "None", "Raw", "bool", "bytes", "dict", "float", "int", "list", "msgspec", "str", "tuple"}
"""Of these msgspec keeps nothing that another thread could meet."""


def offences(text: str) -> list[int]:
    """Lines that build a decoder of a Struct, or of what they do not say, by themselves."""
    tree = ast.parse(text)
    apart = {node for block in ast.walk(tree) if _builds(block) for node in ast.walk(block)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and node not in apart]
    built = [call.lineno for call in calls if any(not _is_plain(kind) for kind in _kinds(call))]
    return built + [node.lineno for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and _hides(node)]


def _builds(node: ast.AST) -> bool:
    return isinstance(node, ast.With) and any(ast.unparse(item.context_expr) == "BUILDING" for item in node.items)


def _kinds(call: ast.Call) -> list[ast.expr]:
    """The types that a call of msgspec is given."""
    name = ast.unparse(call.func)
    named = [keyword.value for keyword in call.keywords if keyword.arg == "type"]
    if name.startswith("msgspec.") and name.endswith(".Decoder"):
        return [*call.args[:1], *named]
    if name == "msgspec.convert":
        return [*call.args[1:2], *named]
    return named if name.endswith("decode") else []


def _hides(node: ast.ImportFrom) -> bool:
    """Whether what is imported could be called without msgspec's name before it."""
    ways = {"convert", "decode", "Decoder", "json", "msgpack", "toml", "yaml"}
    return (node.module or "").partition(".")[0] == "msgspec" and any(name.name in ways for name in node.names)


def _is_plain(kind: ast.expr) -> bool:
    names = {node.id for node in ast.walk(kind) if isinstance(node, ast.Name)}
    return names <= PLAIN


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_builds_one_beside_it(path):
    """Use `decoder(Kind)(text)` or `convert(value, Kind)` of `flowtell.decoders`; or `with BUILDING:` around another's."""
    assert offences(path.read_text()) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("msgspec.json.decode(text, type=Receipt)", True),
        ("msgspec.json.decode(text, type=list[Receipt])", True),
        ("msgspec.json.decode(text, type=kind)", True),
        ("_decode(text, type=Receipt)", True),
        ("msgspec.json.Decoder(Receipt)", True),
        ("msgspec.msgpack.Decoder(type=Receipt)", True),
        ("msgspec.convert(value, Receipt, strict=False)", True),
        ("msgspec.convert(value, type=Receipt)", True),
        ("def later():\n    return msgspec.json.Decoder(Receipt)", True),
        ("with BUILDING:\n    decode = msgspec.msgpack.Decoder(Receipt).decode", False),
        ("from msgspec.json import Decoder", True),
        ("from msgspec import Struct, convert", True),
        ("from msgspec import Struct", False),
        ("msgspec.json.decode(text)", False),
        ("msgspec.json.decode(text, type=dict[str, Any])", False),
        ("msgspec.json.Decoder(list[msgspec.Raw])", False),
        ("decoder(Receipt)(text)", False),
        ("convert(value, Receipt)", False),
    ],
)
def test_the_search_finds_what_it_looks_for(line, found):
    assert bool(offences(line)) == found


def test_threads_that_decode_a_type_for_the_first_time_at_once(tmp_path):
    """Six of them, for hundreds of types: by msgspec's own decode the interpreter crashes within a few."""
    script = tmp_path / "first.py"
    script.write_text(
        textwrap.dedent("""
            from __future__ import annotations
            import sys, threading
            import msgspec
            from flowtell.decoders import convert, decoder

            sys.setswitchinterval(1e-6)
            LINE = b'{"leaves":[{"number":1}],"trees":{"a":{}},"leaf":{"number":2}}'
            TYPES = '''
            class Leaf{n}(msgspec.Struct):
                number: int = 0
                names: list[str] = []
            class Tree{n}(msgspec.Struct):
                leaves: list[Leaf{n}] = []
                trees: dict[str, Tree{n}] = {{}}
                leaf: Leaf{n} | None = None
            '''

            def first(kind):
                barrier.wait()
                if sys.argv[1] == "ours":
                    convert(msgspec.json.decode(LINE), kind)
                    decoder(kind)(LINE)
                else:
                    msgspec.json.decode(LINE, type=kind)

            for n in range(300):
                exec(TYPES.format(n=n))
                barrier = threading.Barrier(6)
                threads = [threading.Thread(target=first, args=(globals()[f"Tree{n}"],)) for _ in range(6)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
            """)
    )
    ours, theirs = (
        subprocess.run([sys.executable, script, who], capture_output=True, check=False) for who in ("ours", "msgspec")
    )
    assert (ours.returncode, ours.stderr) == (0, b"")
    assert theirs.returncode != 0, "msgspec has mended it: flowtell.decoders may go"
