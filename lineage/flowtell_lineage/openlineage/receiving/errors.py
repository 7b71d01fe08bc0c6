"""What is wrong with a document that is none of OpenLineage's."""

from __future__ import annotations

from flowtell_lineage.errors import LineageError


class OpenLineageMalformed(LineageError):
    """It lacks what no reader can do without, or has something else there."""

    code = "FT2520"

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}")
