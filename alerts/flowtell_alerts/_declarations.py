"""What flows, deployments and configuration files have declared, in memory and in the evaluator's table.

The newest word by its time holds, whatever the order in which events come; what was removed is remembered as removed, so
that an older word that comes late does not bring it back.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from flowtell import events as e
from flowtell import rules
from flowtell.decoders import decoder
from flowtell.events import Event, RuleData
from flowtell.plugin import Context
from flowtell_alerts import tables
from flowtell_alerts._kind import moment
from flowtell_alerts._known import MAX_RULES
from flowtell_alerts._pages import every_row
from flowtell_alerts._replacing import Replacing
from flowtell_alerts._rows import as_json
from flowtell_alerts._selector import Watched, selects
from flowtell_alerts._stated import Stated, holding
from flowtell_alerts._subject import SubjectKey
from flowtell_alerts._tags import Said, said_by
from flowtell_alerts.kinds import KINDS

Name = tuple[str, str, str, str]
"""What a declaration is about: its kind, flow, environment, and the deployment's name or the rule's key."""

_ROWS: Final = Replacing(tables.declarations)
_OWN_WRITER: Final = "plugin:"
_BLIND: Final = Stated(rules.blind(), "default", "of all that tell of what does not come")
_MAX_TEXT: Final = 200
_MAX_NAMES: Final = 50


class Declared(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest word about one flow, deployment or rule."""

    at: int
    event: str
    removed: bool = False
    external_id: str = ""
    source: str = ""
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    rules: tuple[RuleData, ...] = ()
    origin: str = ""
    ours: bool = False
    """Whether the evaluator told of the rule itself, from a file."""


class Held(Struct, frozen=True):
    """What holds for the runs of one lane."""

    stated: tuple[Stated, ...] = ()
    owners: tuple[str, ...] = ()
    declaration: str = ""
    """Id of the newest event that had a say in it."""
    tags: tuple[str, ...] = ()
    """The flow's and the deployment's."""


class Declarations:
    """Belongs to the evaluator's thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._known: dict[Name, Declared] = {}
        self._rules: dict[str, Declared] = {}
        """Those of no flow that hold now, by their digest."""
        self._by_external: dict[str, Name] = {}
        self._said: dict[tuple[str, ...], Said] = {}
        for row in every_row(context, tables.declarations):
            name = (sys.intern(row.kind), sys.intern(row.flow), sys.intern(row.environment), sys.intern(row.name))
            self._put(name, decoder(Declared)(row.data))

    def _put(self, name: Name, declared: Declared) -> None:
        declared = replace(declared, event=sys.intern(declared.event))  # others keep the id as well
        self._known[name] = declared
        if name[0] == "rule":
            self._rules[name[3]] = declared
            if declared.removed:
                del self._rules[name[3]]
        if declared.external_id:
            self._by_external[declared.external_id] = name

    # --- events ---------------------------------------------------------------------------------------------------

    def take(self, event: Event) -> Name | None:
        """Keep what the event says. What it is about; None where an event that is newer was there before it."""
        named = self._named(event)
        if named is None:
            return None
        name, declared = named
        before = self._known.get(name)
        if before is not None and (declared.at, declared.event) <= (before.at, before.event):
            return None
        self._put(name, declared)
        kind, flow, environment, own = name
        row = {"kind": kind, "flow": flow, "environment": environment, "name": own, "data": as_json(declared)}
        _ROWS.write(self._context, [row])
        return name

    def _named(self, event: Event) -> tuple[Name, Declared] | None:
        word = Declared(at=moment(event), event=event.id, source=event.source[:_MAX_TEXT])
        match event:
            case e.FlowDeclared():
                word = replace(word, tags=_names(event.tags), owners=_names(event.owners))
                word = replace(word, rules=event.rules[:MAX_RULES], origin=_code_place(event))
                return (("flow", event.flow, event.environment, ""), word) if event.flow else None
            case e.DeploymentDeclared():
                word = replace(word, tags=_names(event.tags), owners=_names(event.owners), external_id=event.external_id)
                return (_deployment(event), word) if event.flow and event.deployment else None
            case e.DeploymentRemoved():
                name = self._by_external.get(event.external_id) or _deployment(event)
                return (name, replace(word, removed=True)) if name[1] else None
            case e.RuleDeclared() | e.RuleRemoved() if event.rule is not None:
                ours = event.writer.startswith(_OWN_WRITER)
                word = replace(word, rules=(event.rule,), origin=event.origin[:_MAX_TEXT], ours=ours)
                return ("rule", "", "", rule_digest(event.rule)), replace(word, removed=isinstance(event, e.RuleRemoved))
            case _:
                return None

    # --- what holds -----------------------------------------------------------------------------------------------

    def file_rules(self) -> Mapping[str, Declared]:
        """The rules that are declared now and were not by a flow, by their digest."""
        return self._rules

    def held_by(self, runs: SubjectKey, source: str) -> Held:
        """What holds for these runs; `source` is that of a run, for a flow that nobody declared."""
        _, flow, environment, deployment = runs
        of_flow = self._known.get(("flow", flow, environment, ""))
        of_deployment = self._known.get(("deployment", flow, environment, deployment)) if deployment else None
        words = [word for word in (of_flow, of_deployment) if word is not None and not word.removed]
        said = self._said_by(of_deployment) if of_deployment and not of_deployment.removed else Said()
        watched = Watched(
            flow=flow,
            environment=environment,
            deployment=deployment,
            source=next((word.source for word in words if word.source), source),
            tags=tuple(tag for word in words for tag in word.tags),
            owners=_owners(of_flow, of_deployment, said),
        )
        files = [declared for declared in self._rules.values() if selects(declared.rules[0].selector, watched)]
        code = [Stated(rule, "code", of_flow.origin) for rule in of_flow.rules] if of_flow else []
        file = [Stated(declared.rules[0], "file", declared.origin) for declared in files]
        held = [_with_severity(stated, said.severity) for stated in _needed(holding([*said.stated, *file, *code, _BLIND]))]
        newest = max([*words, *files], key=lambda word: (word.at, word.event), default=None)
        return Held(tuple(held), watched.owners, newest.event if newest else "", watched.tags)

    def _said_by(self, deployment: Declared) -> Said:
        if deployment.tags not in self._said:
            self._said[deployment.tags] = said_by(deployment.tags)
        return self._said[deployment.tags]


def _needed(held: list[Stated]) -> list[Stated]:
    """Less what holds by default and no rule is in need of."""
    in_need = any(stated.rule.kind in KINDS and KINDS[stated.rule.kind].sees for stated in held)
    return [stated for stated in held if stated.place != "default" or in_need]


def rule_digest(rule: RuleData) -> str:
    """The same for the same rule, wherever it stands."""
    return blake2b(msgspec.json.encode(rule, order="deterministic"), digest_size=10).hexdigest()


def _deployment(event: Event) -> Name:
    return "deployment", event.flow, event.environment, event.deployment


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name[:_MAX_TEXT] for name in given[:_MAX_NAMES])


def _code_place(event: e.FlowDeclared) -> str:
    return f"{event.code.file}:{event.code.line}"[:_MAX_TEXT] if event.code and event.code.file else ""


def _owners(flow: Declared | None, deployment: Declared | None, said: Said) -> tuple[str, ...]:
    """The deployment's, by tag or by itself, else the flow's."""
    own = deployment.owners if deployment and not deployment.removed else ()
    return said.owners or own or (flow.owners if flow else ())


def _with_severity(stated: Stated, severity: str) -> Stated:
    return replace(stated, rule=replace(stated.rule, severity=severity)) if severity and not stated.problem else stated
