# SPDX-License-Identifier: GPL-2.0-or-later
"""Accounts of the functions of a live patch: of those that were compiled from both sources, and of
those that only a module's tables name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from suture.builder.artifact import Artifact
from suture.builder.evidence import BuildEvidence
from suture.builder.part import Cut
from suture.elf.object import ObjectFile
from suture.objects.locals import base, is_cold
from suture.objects.view import ToUndefined, ToUnit, Unit, View
from suture.report.content import FunctionAccount, FunctionRole
from suture.report.instructions import code_size, side_by_side
from suture.report.reasons import Reasons
from suture.report.shipped_code import ModuleCode
from suture.verify.examination import FunctionCheck, ShippedObjects
from suture.verify.plan import PlannedFile

Named = tuple[str, str, int]
"""Object, function and position."""


def of_sources(
    evidence: BuildEvidence, artifact: Artifact, reasons: Reasons
) -> Iterator[FunctionAccount]:
    """Yield the functions of source diffs, with their code before and after."""
    named = {}
    for objname, function in artifact.patch.each_function():
        named[objname, function.old_name, function.sympos] = function.new_name
    by_source = {cut.source: cut for cut in evidence.cuts}
    for planned in evidence.plan.files if evidence.plan is not None else ():
        yield from _of_file(planned, by_source.get(planned.file.source), reasons, named)


def of_tables(
    module: ObjectFile,
    checks: Iterable[FunctionCheck],
    objects: ShippedObjects,
    reason: str,
    known: Collection[Named] = (),
) -> Iterator[FunctionAccount]:
    """Yield the functions that a module's tables name, with the kernel's code and the module's.

    :param known: those that are accounted for.
    """
    code = ModuleCode(module)
    for check in checks:
        function = check.function
        if (check.objname, function.old_name, function.sympos) in known:
            continue
        is_there = check.address is not None
        shown, omitted = code.beside(check, objects.shipped(check.objname)) if is_there else ((), 0)
        yield FunctionAccount(
            check.objname,
            function.old_name,
            function.sympos,
            function.new_name,
            function.source,
            FunctionRole.REPLACED,
            reason,
            size=check.size,
            new_size=check.new_size,
            rows=shown,
            omitted=omitted,
        )


def _of_file(
    planned: PlannedFile,
    cut: Cut | None,
    reasons: Reasons,
    named: Mapping[tuple[str, str, int], str],
) -> Iterator[FunctionAccount]:
    plan, objname = planned.plan, planned.file.objname
    replaced = zip(plan.replaced, cut.functions, strict=True) if cut is not None else ()
    for pair, (name, sympos) in replaced:
        new_name = named.get((objname, name, sympos), name)
        yield _account(planned, pair, FunctionRole.REPLACED, reasons, (name, sympos, new_name))
    for pair in plan.carried:
        name = pair[1].name
        yield _account(planned, pair, FunctionRole.CARRIED, reasons, (name, 0, name))
    view = planned.file.changes.patched.view
    carried = {after for _, after in plan.carried}
    for name in cut.output.new if cut is not None else ():
        for unit in view.by_name.get(name, ()):
            if unit.is_function and unit not in carried and not is_cold(name):
                pair_of_new = None, unit
                yield _account(planned, pair_of_new, FunctionRole.NEW, reasons, (name, 0, name))


def _account(
    planned: PlannedFile,
    pair: tuple[Unit | None, Unit],
    role: FunctionRole,
    reasons: Reasons,
    names: tuple[str, int, str],
) -> FunctionAccount:
    file, (before, after) = planned.file, pair
    old, new = file.changes.original.view, file.changes.patched.view
    rows_shown, omitted = side_by_side((old, before) if before else None, (new, after))
    called = frozenset(_called(new, after))
    name, sympos, new_name = names
    return FunctionAccount(
        file.objname,
        name,
        sympos,
        new_name,
        file.source,
        role,
        reasons.of(file.source, name, role, called),
        reasons.hunks_of(file.source, name, called),
        code_size(old, before) if before else 0,
        code_size(new, after),
        rows_shown,
        omitted,
    )


def _called(view: View, unit: Unit) -> Iterator[str]:
    for reference in view.references(unit):
        match reference.target:
            case ToUnit(other, _) if reference.is_branch:
                yield base(other.name)
            case ToUndefined(name, _) if reference.is_branch:
                yield name
