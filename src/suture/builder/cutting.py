# SPDX-License-Identifier: GPL-2.0-or-later
"""The plan -> proved functions -> output objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from suture.builder.differences import side_of
from suture.builder.part import Cut
from suture.diff.comparison import Side
from suture.diff.contents import contents
from suture.diff.cut_out import cut_out
from suture.diff.output import ModuleKeys, OutputObject
from suture.diff.static_branches import with_keys_read
from suture.errors import INIT_FUNCTION_CHANGED, Refusal
from suture.link.glue import Variable
from suture.link.resolve.kernel import KernelResolver, Published
from suture.verify.kernel import Kernel
from suture.verify.plan import ComparedFile, PatchPlan, PlannedFile
from suture.verify.sympos import sympos
from suture.workspace.compile import ObjectPair
from suture.workspace.jump_label_header import patched_object_reading_keys
from suture.workspace.prepare import Workspace

Proof = tuple[tuple[str, int], ...]
"""The name and position of each replaced function in the shipped object, in the plan's order."""


def cut_out_all(
    plan: PatchPlan, pairs: Sequence[ObjectPair], kernel: Kernel, workspace: Workspace
) -> list[Cut]:
    """Prove every function that is replaced, then cut all planned code out.

    :param pairs: the objects of the files that the patch changes.
    :raises Refusal: ``init-function-changed``, ``module-static-key``, and what proving, resolving
        and cutting out raise
    """
    holding = [one for one in plan.files if one.plan.needs_code or one.plan.changes.data]
    proofs = [prove(one) for one in holding]
    resolvers = [_resolver(one.file, plan, kernel) for one in holding]
    outputs = [
        cut_out(one.plan, one.file.objname, resolver)
        for one, resolver in zip(holding, resolvers, strict=True)
    ]
    again = _Recompiled(pairs, kernel, workspace)
    cuts: list[Cut] = []
    for one, proof, resolver, output in zip(holding, proofs, resolvers, outputs, strict=True):
        if isinstance(output, ModuleKeys):
            output = again.cut_out(one, resolver, output)
        count = sum(len(other.data) for other in cuts)
        cuts.append(_with_data(Cut(one.file.source, output, proof), one, resolver, count))
    return cuts


def prove(planned: PlannedFile) -> Proof:
    """Prove that the functions to be replaced are the shipped ones.

    :raises Refusal: ``init-function-changed``, ``function-not-in-kernel``, ``pre-image-mismatch``,
        ``symbol-ambiguous``
    """
    addresses = planned.file.addresses
    shipped = addresses.shipped
    found = []
    for original, _ in planned.plan.replaced:
        address = addresses.prove(original).address
        if shipped.is_discarded(address):
            where = f"{addresses.view.obj.name}: {original.name}()"
            found_in = f"is in the part of {shipped.objname} that is freed after init"
            raise Refusal(INIT_FUNCTION_CHANGED, where, found_in)
        old_name = addresses.name_at(original, address)
        found.append((old_name, sympos(shipped, old_name, address)))
    return tuple(found)


class _Recompiled:
    """Cuts code out of objects that are compiled once more, with static branches that read their
    keys."""

    def __init__(self, pairs: Sequence[ObjectPair], kernel: Kernel, workspace: Workspace) -> None:
        self._pairs = {pair.source: pair for pair in pairs}
        self._kernel = kernel
        self._workspace = workspace

    def cut_out(
        self, planned: PlannedFile, resolver: KernelResolver, keys: ModuleKeys
    ) -> OutputObject:
        """Compile the file again, and cut the same plan out of what comes of it.

        Code that is carried has to be what was proved, so it is not compiled in another way.

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
        _provided(plan) | _carried(plan, file),
        _published(plan),
        kernel.needed,
    )


def _provided(plan: PatchPlan) -> frozenset[str]:
    """The new global names of the patch."""
    units = (unit for one in plan.files for unit in one.file.changes.provided)
    return frozenset(name for unit in units for name in (unit.name, *unit.aliases))


def _carried(plan: PatchPlan, user: ComparedFile) -> frozenset[str]:
    """The global names of carried functions, as far as a file can mean them: a module may have a
    function of its own by such a name."""
    shipped = user.addresses.shipped
    found: set[str] = set()
    for one in plan.files:
        for _, after in one.plan.carried:
            names = () if after.is_local else (after.name, *after.aliases)
            found.update(
                name
                for name in names
                if one.file.objname == user.objname or not shipped.global_addresses(name)
            )
    return frozenset(found)


def _published(plan: PatchPlan) -> dict[str, Published]:
    """Static functions and variables that the patch makes global, by name."""
    found = {}
    for one in plan.files:
        for before, after in one.plan.published:
            published = Published(one.file.addresses, before)
            found.update(dict.fromkeys((after.name, *after.aliases), published))
    return found


def _with_data(cut: Cut, planned: PlannedFile, resolver: KernelResolver, count: int) -> Cut:
    """Prove the variables that are to change in memory, and make their old and new contents.

    :param count: of such variables in other files.
    """
    changes = planned.plan.changes
    if not changes.data:
        return cut
    addresses = planned.file.addresses
    shipped = addresses.shipped
    places = [addresses.prove_data(change.before) for change in changes.data]
    made = contents(changes, shipped.objname, resolver, count)
    data = []
    for change, address, symbol in zip(changes.data, places, made.symbols, strict=True):
        name = addresses.name_at(change.before, address)
        position = sympos(shipped, name, address)
        data.append(Variable(shipped.objname, name, position, change.before.size, symbol))
    return replace(cut, data=tuple(data), contents=made.obj)
