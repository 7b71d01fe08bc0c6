"""What can go wrong when lineage is asked for."""

from __future__ import annotations

from flowtell.errors import FlowtellError


class LineageError(FlowtellError):
    """Root of the errors of this distribution."""

    code = "FT1800"


class AssetNotFound(LineageError):
    """No event has named this asset."""

    code = "FT1801"

    def __init__(self, wanted: str, suggestion: str = "") -> None:
        self.wanted, self.suggestion = wanted, suggestion
        hint = f"Did you mean '{suggestion}'?" if suggestion else "'flowtell lineage show' lists every asset."
        super().__init__(f"Asset '{wanted}' not found: no run has named it. {hint}")


class BadContract(LineageError):
    """A contract file that cannot be used."""

    code = "FT2501"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path} is no lineage contract: {problem}")


class WholeLogOnly(LineageError):
    """An export of events was asked for a part of the graph."""

    code = "FT2502"

    def __init__(self) -> None:
        super().__init__("--format openlineage writes every event of the log: leave out ASSET and --as-of")
