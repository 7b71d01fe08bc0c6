"""A contract type for import-linter: what one distribution may see of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importlinter import Contract, ContractCheck, fields, output

if TYPE_CHECKING:
    from grimp import ImportGraph


class PublicModules(Contract):
    """No root package directly imports a private module of another, nor one of the `closed` packages.

    A module is private if any part of its path starts with an underscore. The built-in forbidden contract cannot say
    so, as its wildcards stand for whole names only; and it refuses to run while a package that it names is missing.
    """

    closed = fields.SetField(subfield=fields.ModuleField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        closed = [module.name for module in self.closed]
        reaching_in = [
            f"{importer} -> {module}"
            for module in sorted(graph.modules)
            if _is_private(module) or any(_is_within(module, package) for package in closed)
            for importer in sorted(graph.find_modules_that_directly_import(module))
            if _distribution(importer) != _distribution(module)
        ]
        return ContractCheck(kept=not reaching_in, metadata={"imports": reaching_in})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["imports"]:
            output.print_error(f"- {line}")
        output.new_line()


def _is_private(module: str) -> bool:
    return any(part.startswith("_") and not part.endswith("__") for part in module.split("."))


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _distribution(module: str) -> str:
    return module.partition(".")[0]
