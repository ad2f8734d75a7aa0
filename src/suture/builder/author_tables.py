# SPDX-License-Identifier: GPL-2.0-or-later
"""An author's module taken apart: what its tables replace, checked against the target.

kGraft's tables and the kernel's own are read into one form.  A system call by the name that its
function had before Linux 4.17 gets a wrapper for each function by which the target enters it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from suture.builder.module_context import ModuleContext, types_of_module
from suture.builder.part import Authored
from suture.diff.hooks import OF_PATCHES
from suture.elf import reader
from suture.elf.object import ObjectFile, Symbol
from suture.errors import (
    CALLBACK_UNUSABLE,
    FUNCTION_NOT_IN_KERNEL,
    FUNCTION_REPLACED_TWICE,
    OBJECT_UNKNOWN,
    SYSCALL_UNKNOWN,
    Refusal,
)
from suture.formats.cmodule import CModule, Dialect
from suture.host.progress import note
from suture.kernel.btf import Btf
from suture.link import author_modules, kgraft, klp, objtool, syscalls
from suture.link.author_checks import refuse_unresolvable, refuse_unterminated
from suture.link.kgraft import Replaced
from suture.model import VMLINUX, Callback, CallbackKind, LivePatch, PatchedFunction, PatchedObject
from suture.objects.view import View
from suture.verify import threads
from suture.verify.replaced import Checked
from suture.verify.sympos import nearest
from suture.verify.syscalls import SystemCall, called, definition
from suture.workspace.external import CompiledModule


def refuse_hooks(module: CModule, objects: Mapping[str, ObjectFile]) -> None:
    """The macros of kpatch's and Ksplice's headers are for source diffs; in a module, nobody would
    act on them.

    :raises Refusal: ``callback-unusable``
    """
    for part, obj in objects.items():
        for section in obj.sections:
            if section.name.startswith(OF_PATCHES) and section.size:
                found = f"has {section.name}, which is for source diffs alone"
                remedy = "Put callbacks into .callbacks of their struct klp_object; kGraft's init and exit do it too."
                raise Refusal(CALLBACK_UNUSABLE, f"{module.where}: {part}", found, remedy=remedy)


def taken_apart(
    context: ModuleContext, module: CModule, compiled: CompiledModule, first: int = 0
) -> Authored:
    """:param first: number of the first global name that is given."""
    objtool.refuse_doubts(module.name, compiled.said, context.kernel.target.arch.build)
    objects = {part: reader.read(data, part) for part, data in compiled.objects.items()}
    refuse_hooks(module, objects)
    refuse_unresolvable(objects, context.shipped, module.line_of)
    types = types_of_module(compiled, module.name)
    if module.dialect is Dialect.KGRAFT:
        table = kgraft.table(objects)
        _refuse_absent(context, module, [one.objname for one in table.functions])
        _refuse_missing(context, module, table.functions)
        return _tables(
            context, module, types, objects, table.functions, {}, table.replace_all, first
        )
    linked = reader.read(compiled.module, f"{module.name}.ko")
    return _from_livepatch(
        context, module, types, objects, own_tables(context, module, linked), first
    )


def own_tables(context: ModuleContext, module: CModule, linked: ObjectFile) -> LivePatch:
    """What a livepatch module's own tables say; they end, and the objects that they name are
    there."""
    refuse_unterminated(linked, context.sizes, module.line_of)
    patch = author_modules.own_tables(linked, module.where)
    _refuse_absent(context, module, [patched.name for patched in patch.objects])
    return patch


def definition_of(module: CModule, objects: Mapping[str, ObjectFile], function: str) -> str:
    """Where a new function is defined."""
    for part, obj in objects.items():
        if any(symbol.name == function and symbol.is_defined_here for symbol in obj.symbols):
            return module.definition_of(function, part)
    return module.line_of(function)


def _refuse_absent(context: ModuleContext, module: CModule, objnames: Sequence[str]) -> None:
    """:raises Refusal: ``module-not-found``"""
    for objname in dict.fromkeys(objnames):
        if objname != VMLINUX and not context.has_module(objname):
            found = f"{context.kernel.target.release} has no module {objname}"
            near = [
                f"there is {one}" for one in difflib.get_close_matches(objname, context.modules, 3)
            ]
            raise Refusal(OBJECT_UNKNOWN, module.line_of(objname), found, evidence=near)


def each_function(patch: LivePatch) -> Iterator[tuple[str, PatchedFunction]]:
    return ((patched.name, function) for patched in patch.objects for function in patched.functions)


def is_old_call(context: ModuleContext, objname: str, function: PatchedFunction) -> bool:
    """Whether it is a system call by the name of its function before 4.17."""
    name = function.old_name
    return objname == VMLINUX and called(name) is not None and not context.has(objname, name)


def _refuse_missing(context: ModuleContext, module: CModule, replaced: Sequence[Replaced]) -> None:
    for one in replaced:
        if not one.abort_if_missing and not context.has(one.objname, one.name):
            found = (
                f"{one.name} is not in {one.objname}, and KGR_PATCH() says that it may be missing"
            )
            remedy = "Name the module that it is in (KGR_PATCH_OBJ), or leave it out."
            raise Refusal(FUNCTION_NOT_IN_KERNEL, module.line_of(one.name), found, remedy=remedy)


def _from_livepatch(
    context: ModuleContext,
    module: CModule,
    types: Btf | None,
    objects: Mapping[str, ObjectFile],
    patch: LivePatch,
    first: int,
) -> Authored:
    functions = [
        Replaced(
            objname, one.old_name, one.sympos, author_modules.function(objects, one.new_name), True
        )
        for objname, one in each_function(patch)
    ]
    callbacks = {
        (patched.name, callback.kind): author_modules.function(objects, callback.function)
        for patched in patch.objects
        for callback in patched.callbacks
    }
    # Only now: what refers to a symbol goes by the symbol itself.
    objects, states = author_modules.with_states(objects, first)
    without = author_modules.without_tables(objects)
    return replace(
        _tables(context, module, types, without, functions, callbacks, patch.replace, first),
        states=states,
    )


def _tables(
    context: ModuleContext,
    module: CModule,
    types: Btf | None,
    objects: Mapping[str, ObjectFile],
    replaced: Sequence[Replaced],
    callbacks: Mapping[tuple[str, CallbackKind], Symbol],
    replace_all: bool,
    first: int,
) -> Authored:
    """The core's tables from an author's; the core wants all functions of an object together."""
    checked: list[Checked] = []
    wrappers: dict[str, str] = {}
    functions: dict[str, list[PatchedFunction]] = {objname: [] for objname, _ in callbacks}
    for number, one in enumerate(replaced, first):
        entry = f"{klp.ENTRY}{number}"
        of_object = functions.setdefault(one.objname, [])
        source = definition_of(module, objects, one.new.name)
        call = (
            called(one.name)
            if one.objname == VMLINUX and not context.has(VMLINUX, one.name)
            else None
        )
        if call is None:
            checked.append(
                check_function(
                    context, module, types, one.objname, one.name, one.sympos, one.new.name
                )
            )
            of_object.append(PatchedFunction(one.name, checked[-1].sympos, entry, source))
            continue
        made = _wrappers(context, module, types, call, one, entry, number)
        for (name, text), found in made:
            wrappers[name] = text
            checked.append(found)
            of_object.append(PatchedFunction(found.function, found.sympos, name, source))
    refuse_twice(module, checked)
    note_threads(module, objects, checked)
    names = [
        f"{klp.ENTRY}{number}"
        for number in range(first + len(replaced), first + len(replaced) + len(callbacks))
    ]
    patched = tuple(
        PatchedObject(
            objname,
            tuple(entries),
            tuple(
                Callback(kind, name)
                for (owner, kind), name in zip(callbacks, names, strict=True)
                if owner == objname
            ),
        )
        for objname, entries in functions.items()
    )
    patch = LivePatch(module.name, patched, replace_all)
    named = author_modules.named(
        objects, [*(one.new for one in replaced), *callbacks.values()], first
    )
    return Authored(module, named, patch, tuple(checked), wrappers)


def _wrappers(
    context: ModuleContext,
    module: CModule,
    types: Btf | None,
    call: SystemCall,
    one: Replaced,
    entry: str,
    number: int,
) -> list[tuple[tuple[str, str], Checked]]:
    """A wrapper for each function by which the target enters a system call."""
    vmlinux = context.kernel.vmlinux
    where = module.line_of(one.name)
    entries = call.entries(vmlinux.arch.syscalls)
    places = {address: name for name in reversed(entries) for address in vmlinux.addresses(name)}
    names = {name: macro for name, macro in entries.items() if name in places.values()}
    defined = definition(vmlinux, context.tree, call)
    if not names or defined is None:
        near = [f"there is {name}" for name in nearest(next(iter(entries)), vmlinux)]
        found = f"{context.kernel.target.release} has no system call {call.name}"
        raise Refusal(SYSCALL_UNKNOWN, where, found, evidence=near)
    for prototype in types.functions(one.new.name) if types else ():
        assert types is not None
        place = module.line_of(one.new.name)
        syscalls.refuse_differing(
            place, one.new.name, defined, context.kernel.types, types, prototype
        )
    made = syscalls.wrappers(defined, names, entry, number)
    checked = []
    for name in names:
        address, position = context.replaceable.check(VMLINUX, name, 0, lambda _: where)
        checked.append(Checked(VMLINUX, name, position, address, one.new.name, types is not None))
    return list(zip(made.items(), checked, strict=True))


def note_threads(
    module: CModule, objects: Mapping[str, ObjectFile], checked: Sequence[Checked]
) -> None:
    """An author's own main function of a kernel thread is the author's to answer for; that it is
    one is told."""
    new = {one.new for one in checked}
    for obj in objects.values():
        view = View(obj)
        functions = [
            unit for unit in view.units if unit.is_function and new & {unit.name, *unit.aliases}
        ]
        for function in threads.asking(view, functions):
            note(f"{module.line_of(function.name)}: {function.name}() {threads.WAITS_FOR_IT}")


def refuse_twice(module: CModule, checked: Sequence[Checked]) -> None:
    """The core would take the later of two replacements of one function, or refuse both."""
    seen: dict[tuple[str, int], Checked] = {}
    for one in checked:
        first = seen.setdefault((one.objname, one.address), one)
        if first is not one:
            found = (
                f"{one.objname}: {one.function} is replaced twice, by {first.new} and by {one.new}"
            )
            raise Refusal(FUNCTION_REPLACED_TWICE, module.line_of(one.function), found)


def check_function(
    context: ModuleContext,
    module: CModule,
    types: Btf | None,
    objname: str,
    name: str,
    position: int,
    new: str,
) -> Checked:
    address, core_position = context.replaceable.check(objname, name, position, module.line_of)
    compared = context.replaceable.compare(objname, name, new, types, module.line_of)
    return Checked(objname, name, core_position, address, new, compared)
