"""Which sources the configuration names, which kinds are installed, and why one is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Final

from flowtell.config import Config
from flowtell.errors import FlowtellError, SourceRefused
from flowtell.source import API_VERSION, Factory, Source
from flowtell.source.runner import SourceRunner

if TYPE_CHECKING:
    from flowtell.store.store import Store

GROUP: Final = "flowtell.sources"


def kinds() -> dict[str, EntryPoint]:
    """Every installed kind of source. The first distribution by name keeps a name that two have."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.dist.name if entry.dist else "", reverse=True)
    return {entry.name: entry for entry in found}


def make_source_runners(
    config: Config, store: Store, clock: Callable[[], int]
) -> tuple[list[SourceRunner], list[SourceRefused]]:
    """A runner for each source that the configuration names, and what was refused and why."""
    runners: list[SourceRunner] = []
    refused: list[SourceRefused] = []
    for name in config.source_names:
        try:
            runners.append(_runner(name, config, store, clock))
        except SourceRefused as error:
            refused.append(error)
    return runners, refused


def _runner(name: str, config: Config, store: Store, clock: Callable[[], int]) -> SourceRunner:
    settings = config.source(name)
    kind, environment = settings.pop("kind", name), settings.pop("environment", config["environment"])
    entry = find_kind(name, kind)
    factory = load_factory(name, entry)
    make_source(name, factory, settings)  # a slip in the configuration is told at start
    distribution = entry.dist
    return SourceRunner(
        name,
        factory,
        kind=kind,
        settings=settings,
        home=config.home,
        environment=environment,
        store=store,
        clock=clock,
        distribution=distribution.name if distribution else "",
        version=distribution.version if distribution else "",
    )


def find_kind(name: str, kind: str) -> EntryPoint:
    """The installed kind of that name.

    Raises:
        SourceRefused: there is none.
    """
    known = kinds()
    if kind not in known:
        these = ", ".join(sorted(known)) or "none"
        raise SourceRefused(name, f"there is no kind of source '{kind}' installed (installed: {these})")
    return known[kind]


def load_factory(name: str, entry: EntryPoint) -> Factory:
    """The factory that an entry point names, imported now.

    Raises:
        SourceRefused: it cannot be imported, or is nothing that can be called.
    """
    try:
        factory = entry.load()
    except (Exception, SystemExit) as error:
        raise SourceRefused(name, f"{entry.value} cannot be imported ({type(error).__name__}: {error})") from error
    if not callable(factory):
        raise SourceRefused(name, f"{entry.value} is no factory: it cannot be called")
    return factory  # type: ignore[no-any-return]


def make_source(name: str, factory: Factory, settings: dict[str, Any]) -> Source:
    """The source from its factory.

    Raises:
        SourceRefused: its keys are wrong, or it has the wrong shape.
    """
    try:
        source = factory(dict(settings))
    except FlowtellError as error:
        raise SourceRefused(name, str(error)) from error
    except (Exception, SystemExit) as error:
        raise SourceRefused(name, f"its factory raised {type(error).__name__}: {error}") from error
    problem = misfit(source)
    if problem:
        raise SourceRefused(name, problem)
    source.name = name
    return source


def misfit(source: object) -> str:
    """What is wrong with the shape of a source; empty when nothing is."""
    if not isinstance(source, Source):
        missing: Sequence[str] = [part for part in ("name", "api", "open", "step", "close") if not hasattr(source, part)]
        return f"it lacks {', '.join(missing)}; inherit from flowtell.source.BaseSource"
    if source.api != API_VERSION:
        return f"it was written for version {source.api} of the contract, this flowtell has {API_VERSION}"
    return ""
