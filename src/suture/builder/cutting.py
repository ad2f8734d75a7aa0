# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan of a patch -> proved functions -> output objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from suture.builder.differences import side_of
from suture.builder.part import Cut
from suture.diff.comparison import Side
from suture.diff.contents import SYMBOL, contents
from suture.diff.cut_out import cut_out
from suture.diff.output import ModuleKeys, OutputObject
from suture.diff.static_branches import with_keys_read
from suture.elf.object import STB_GLOBAL
from suture.errors import INIT_FUNCTION_CHANGED, Refusal
from suture.link.glue import Variable
from suture.link.resolve.kernel import KernelResolver, Published
from suture.objects.view import Unit
from suture.verify.kernel import Kernel
from suture.verify.plan import ComparedFile, PatchPlan, PlannedFile
from suture.verify.preimage import Match
from suture.verify.sympos import sympos
from suture.workspace.compile import ObjectPair
from suture.workspace.jump_label_header import patched_object_reading_keys
from suture.workspace.prepare import Workspace


@dataclass(frozen=True, slots=True)
class Proved:
    """A function that is replaced, proved to be the shipped one.

    :ivar name: its name in the shipped object; `sympos`: its position there.
    """

    name: str
    sympos: int
    match: Match


def cut_out_all(
    plan: PatchPlan, pairs: Sequence[ObjectPair], kernel: Kernel, workspace: Workspace
) -> list[Cut]:
    """Prove every function that is replaced, then cut out all planned code.

    :param pairs: the objects of the files that the patch changes.
    :raises Refusal: ``init-function-changed``, ``module-static-key``, and what proving, resolving
        and cutting out raise
    """
    needed = [file for file in plan.files if file.plan.needs_code or file.plan.changes.data]
    proofs = [prove(file) for file in needed]
    resolvers = [_resolver(file.file, plan, kernel) for file in needed]
    outputs = [
        cut_out(file.plan, file.file.objname, resolver)
        for file, resolver in zip(needed, resolvers, strict=True)
    ]
    recompiled = _Recompiled(pairs, kernel, workspace)
    cuts: list[Cut] = []
    for file, proof, resolver, output in zip(needed, proofs, resolvers, outputs, strict=True):
        if isinstance(output, ModuleKeys):
            output = recompiled.cut_out(file, resolver, output)
        functions = tuple((one.name, one.sympos) for one in proof)
        matches = tuple(one.match for one in proof)
        cut = Cut(file.file.source, output, functions, matches=matches)
        count = sum(len(before.data) for before in cuts)
        cuts.append(_with_data_contents(cut, file, resolver, count))
    return cuts


def prove(planned: PlannedFile) -> tuple[Proved, ...]:
    """Prove that the functions to be replaced are the shipped ones, in the plan's order.

    :raises Refusal: ``init-function-changed``, ``function-not-in-kernel``, ``pre-image-mismatch``,
        ``symbol-ambiguous``
    """
    addresses = planned.file.addresses
    shipped = addresses.shipped
    proof = []
    for original, _ in planned.plan.replaced:
        match = addresses.prove(original)
        address = match.address
        if shipped.is_discarded(address):
            where = f"{addresses.view.obj.name}: {original.name}()"
            found = f"is in the part of {shipped.objname} that is freed after init"
            raise Refusal(INIT_FUNCTION_CHANGED, where, found)
        old_name = addresses.name_at(original, address)
        proof.append(Proved(old_name, sympos(shipped, old_name, address), match))
    return tuple(proof)


class _Recompiled:
    """Cuts code out of objects that are compiled again, with static branches that read their keys.

    Example: ``nft_do_chain()`` (net/netfilter/nf_tables_core.c) tests ``nft_counters_enabled``, a
    key of the module ``nf_tables``.  The kernel rewrites the branches of a live patch when the live
    patch is loaded, and the module with the key may be loaded later.
    """

    def __init__(self, pairs: Sequence[ObjectPair], kernel: Kernel, workspace: Workspace) -> None:
        self._pairs = {pair.source: pair for pair in pairs}
        self._kernel = kernel
        self._workspace = workspace

    def cut_out(
        self, planned: PlannedFile, resolver: KernelResolver, keys: ModuleKeys
    ) -> OutputObject:
        """Compile the file again, and cut the same plan out of the new object.

        A file with carried functions is refused: their code has to be the code that was proved.

        :raises Refusal: ``module-static-key``
        """
        pair = self._pairs.get(planned.file.source)
        if pair is None or planned.plan.carried:
            raise keys.refusal()
        plan = with_keys_read(planned.plan, self._side(pair))
        output = cut_out(plan, planned.file.objname, resolver)
        if isinstance(output, ModuleKeys):
            raise output.refusal()
        return output

    def _side(self, pair: ObjectPair) -> Side:
        return side_of(patched_object_reading_keys(self._workspace, pair), pair, self._kernel)


def _resolver(file: ComparedFile, plan: PatchPlan, kernel: Kernel) -> KernelResolver:
    return KernelResolver(
        file.addresses,
        kernel.symvers,
        kernel.vmlinux,
        kernel.module,
        _provided_names(plan) | _carried_names(plan, file),
        _published_units(plan),
        kernel.needed,
    )


def _provided_names(plan: PatchPlan) -> dict[str, str]:
    """Return the names of new global functions and variables of the patch, each with the object
    that it belongs to."""
    names: dict[str, str] = {}
    for planned in plan.files:
        for unit in planned.file.changes.provided:
            names.update(dict.fromkeys((unit.name, *unit.aliases), planned.file.objname))
    return names


def _carried_names(plan: PatchPlan, user: ComparedFile) -> dict[str, str]:
    """Return the global names by which a file means carried functions, each with its object.

    A module may have a global function of its own under such a name, and then means that one.
    """
    shipped = user.addresses.shipped
    names: dict[str, str] = {}
    for planned in plan.files:
        objname = planned.file.objname
        for _, after in planned.plan.carried:
            for name in () if after.is_local else (after.name, *after.aliases):
                if objname == user.objname or not shipped.global_addresses(name):
                    names[name] = objname
    return names


def _published_units(plan: PatchPlan) -> dict[str, Published]:
    """Return the static functions and variables that the patch makes global, by name."""
    by_name = {}
    for planned in plan.files:
        for before, after in planned.plan.published:
            published = Published(planned.file.addresses, before)
            by_name.update(dict.fromkeys((after.name, *after.aliases), published))
    return by_name


def _with_pointed_names(cut: Cut, count: int) -> tuple[Cut, dict[Unit, str]]:
    """Give new functions and variables to which variables in memory are to point a global name.

    :param count: as in `_with_data_contents`.
    """
    obj, names = cut.output.obj, {}
    for number, (unit, symbol) in enumerate(cut.output.pointed):
        names[unit] = f"{SYMBOL}{count}_to_{number}"
        added = replace(obj.symbols[symbol], name=names[unit], bind=STB_GLOBAL)
        obj = replace(obj, symbols=(*obj.symbols, added))
    return replace(cut, output=replace(cut.output, obj=obj)), names


def _with_data_contents(
    cut: Cut, planned: PlannedFile, resolver: KernelResolver, count: int
) -> Cut:
    """Prove the variables that are to change in memory, and add their old and new contents.

    :param count: how many such variables the cuts before this one have.
    """
    changes = planned.plan.changes
    if not changes.data:
        return cut
    addresses = planned.file.addresses
    shipped = addresses.shipped
    places = [addresses.prove_data(change.before) for change in changes.data]
    cut, pointed = _with_pointed_names(cut, count)
    made = contents(changes, shipped.objname, resolver, count, pointed)
    data = []
    for change, address, symbol in zip(changes.data, places, made.symbols, strict=True):
        name = addresses.name_at(change.before, address)
        position = sympos(shipped, name, address)
        data.append(Variable(shipped.objname, name, position, change.before.size, symbol))
    return replace(cut, data=tuple(data), contents=made.obj)
