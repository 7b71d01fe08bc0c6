"""The channel that docs/channels/own.md shows is a whole one: it passes the kit, and is used by its entry point's name."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from flowtell.errors import UnknownKey
from flowtell_alerts import _channel_tables
from flowtell_alerts.testing import ChannelContract

PAGE = (Path(__file__).parents[2] / "docs" / "channels" / "own.md").read_text()
CODE = re.search(r"```python\n# file: lines.py\n(.*?)```", PAGE, re.DOTALL)
assert CODE is not None
SHOWN: dict = {}
exec(compile(CODE[1], "own.md", "exec"), SHOWN)


class TestTheChannelOfThePage(ChannelContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        self.path = tmp_path / "incidents"

    def channel(self):
        made = SHOWN["create"]("log", {"path": str(self.path)})
        made.name = "log"
        return made

    def failing(self):
        made = SHOWN["create"]("log", {"path": str(self.path.parent / "nowhere" / "x")})
        made.name = "log"
        yield made, False

    def test_an_outsiders_type_is_used_by_name(self, monkeypatch):
        """Like ours; its keys are checked with file and line."""
        entry = EntryPoint("lines", f"{__name__}:made", _channel_tables.GROUP)
        monkeypatch.setattr(EntryPoint, "load", lambda _: SHOWN["create"])
        monkeypatch.setattr(_channel_tables, "types", lambda: {"lines": entry})
        table = {"type": "lines", "path": str(self.path)}
        (offer,) = _channel_tables.offers_of({"log": table}, "", taken=())
        assert offer.make().name == "log"
        file = self.path.parent / "flowtell.toml"
        file.write_text('\n[channel.log]\ntype = "lines"\npaht = "x"\n')
        with pytest.raises(UnknownKey, match=r"flowtell.toml:4, \[channel.log\]\. Did you mean 'path'"):
            _channel_tables.offers_of({"log": {"type": "lines", "paht": "x"}}, str(file), taken=())
