# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of an author's module, checked against the target and rewritten for the core.

kGraft's tables and the kernel's own become one model.  A system call under the name that its
function had before Linux 4.17 (``sys_NAME``) gets a wrapper for each function by which the target
enters it (``__x64_sys_NAME``, ``__ia32_sys_NAME``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from suture.builder.module_context import ModuleContext, types_of_module
from suture.builder.part import Authored
from suture.diff.hooks import HOOK_PREFIXES
from suture.elf import reader
from suture.elf.object import ObjectFile, Symbol
from suture.errors import (
    CALLBACK_UNUSABLE,
    FUNCTION_NOT_IN_KERNEL,
    FUNCTION_REPLACED_TWICE,
    OBJECT_UNKNOWN,
    SYSCALL_UNKNOWN,
    Finding,
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
from suture.verify.syscalls import SystemCall, find_definition, old_system_call
from suture.workspace.external import CompiledModule


def refuse_hooks(module: CModule, objects: Mapping[str, ObjectFile]) -> None:
    """Refuse the macros of kpatch's and Ksplice's headers in a module.

    They are for source diffs; nothing acts on them in a module.

    :raises Refusal: ``callback-unusable``
    """
    for part, obj in objects.items():
        for section in obj.sections:
            if section.name.startswith(HOOK_PREFIXES) and section.size:
                found = f"has {section.name}, which is for source diffs alone"
                remedy = (
                    "Put callbacks into .callbacks of their struct klp_object; "
                    "kGraft's init and exit do it too."
                )
                raise Refusal(CALLBACK_UNUSABLE, f"{module.where}: {part}", found, remedy=remedy)


def prepare_module(
    context: ModuleContext, module: CModule, compiled: CompiledModule, first: int = 0
) -> Authored:
    """Prepare an author's compiled module to be linked with tables that Suture writes.

    :param first: the number of the module's first global name; names are unique in a live patch.
    :raises Refusal: many; each says what the tables hold that the target or the core rejects
    """
    objtool.refuse_doubts(module.name, compiled.said, context.kernel.target.arch.build)
    objects = {part: reader.read(data, part) for part, data in compiled.objects.items()}
    refuse_hooks(module, objects)
    refuse_unresolvable(objects, context.shipped, module.line_of)
    types = types_of_module(compiled, module.name)
    if module.dialect is Dialect.KGRAFT:
        table = kgraft.table(objects)
        _refuse_absent_objects(context, module, [function.objname for function in table.functions])
        _refuse_missing_functions(context, module, table.functions)
        return _core_tables(
            context, module, types, objects, table.functions, {}, table.replace_all, first
        )
    linked = reader.read(compiled.module, f"{module.name}.ko")
    return _from_livepatch(
        context, module, types, objects, own_tables(context, module, linked), first
    )


def own_tables(context: ModuleContext, module: CModule, linked: ObjectFile) -> LivePatch:
    """Read a livepatch module's own tables.

    :raises Refusal: ``module-not-found``, and what reading tables raises, such as tables without
        an end
    """
    refuse_unterminated(linked, context.sizes, module.line_of)
    patch = author_modules.own_tables(linked, module.where)
    _refuse_absent_objects(context, module, [patched.name for patched in patch.objects])
    return patch


def definition_of(module: CModule, objects: Mapping[str, ObjectFile], function: str) -> str:
    """Return the place in the source where a new function is defined."""
    for part, obj in objects.items():
        if any(symbol.name == function and symbol.is_defined_here for symbol in obj.symbols):
            return module.definition_of(function, part)
    return module.line_of(function)


def _refuse_absent_objects(
    context: ModuleContext, module: CModule, objnames: Sequence[str]
) -> None:
    """Refuse names of modules that the target does not have.

    :raises Refusal: ``module-not-found``
    """
    for objname in dict.fromkeys(objnames):
        if objname != VMLINUX and not context.has_module(objname):
            found = f"{context.kernel.target.release} has no module {objname}"
            similar = difflib.get_close_matches(objname, context.modules, 3)
            near = [f"there is {name}" for name in similar]
            raise Refusal(OBJECT_UNKNOWN, module.line_of(objname), found, evidence=near)


def patched_functions(patch: LivePatch) -> Iterator[tuple[str, PatchedFunction]]:
    """Yield each replaced function with its object's name."""
    for patched in patch.objects:
        for function in patched.functions:
            yield patched.name, function


def is_old_system_call(context: ModuleContext, objname: str, function: PatchedFunction) -> bool:
    """Whether a function is a system call under the name that it had before Linux 4.17."""
    name = function.old_name
    return (
        objname == VMLINUX and old_system_call(name) is not None and not context.has(objname, name)
    )


def _refuse_missing_functions(
    context: ModuleContext, module: CModule, replaced: Sequence[Replaced]
) -> None:
    """Refuse kGraft's optional replacements of functions that the target does not have."""
    for function in replaced:
        name, objname = function.name, function.objname
        if not function.abort_if_missing and not context.has(objname, name):
            found = f"{name} is not in {objname}, and KGR_PATCH() says that it may be missing"
            remedy = "Name the module that it is in (KGR_PATCH_OBJ), or leave it out."
            raise Refusal(FUNCTION_NOT_IN_KERNEL, module.line_of(name), found, remedy=remedy)


def _from_livepatch(
    context: ModuleContext,
    module: CModule,
    types: Btf | None,
    objects: Mapping[str, ObjectFile],
    patch: LivePatch,
    first: int,
) -> Authored:
    functions = []
    for objname, patched in patched_functions(patch):
        new = author_modules.function_named(objects, patched.new_name)
        functions.append(Replaced(objname, patched.old_name, patched.sympos, new, True))
    callbacks: dict[tuple[str, CallbackKind], Symbol] = {}
    for obj in patch.objects:
        for callback in obj.callbacks:
            function = author_modules.function_named(objects, callback.function)
            callbacks[obj.name, callback.kind] = function
    # After the symbols were looked up: the tables are what refers to them.
    objects, states = author_modules.with_states(objects, first)
    without = author_modules.without_tables(objects)
    return replace(
        _core_tables(context, module, types, without, functions, callbacks, patch.replace, first),
        states=states,
    )


def _core_tables(
    context: ModuleContext,
    module: CModule,
    types: Btf | None,
    objects: Mapping[str, ObjectFile],
    replaced: Sequence[Replaced],
    callbacks: Mapping[tuple[str, CallbackKind], Symbol],
    replace_all: bool,
    first: int,
) -> Authored:
    """Make the core's tables from an author's: functions and callbacks grouped by object."""
    checked: list[Checked] = []
    wrappers: dict[str, str] = {}
    functions: dict[str, list[PatchedFunction]] = {objname: [] for objname, _ in callbacks}
    for number, one in enumerate(replaced, first):
        entry = f"{klp.ENTRY}{number}"
        of_object = functions.setdefault(one.objname, [])
        source = definition_of(module, objects, one.new.name)
        is_missing = one.objname == VMLINUX and not context.has(VMLINUX, one.name)
        call = old_system_call(one.name) if is_missing else None
        if call is None:
            function = check_function(
                context, module, types, one.objname, one.name, one.sympos, one.new.name
            )
            checked.append(function)
            of_object.append(PatchedFunction(one.name, function.sympos, entry, source))
            continue
        for (name, text), function in _wrappers(context, module, types, call, one, entry, number):
            wrappers[name] = text
            checked.append(function)
            of_object.append(PatchedFunction(function.function, function.sympos, name, source))
    refuse_twice(module, checked)
    note_threads(module, objects, checked)
    named_callbacks: dict[str, list[Callback]] = {objname: [] for objname in functions}
    for number, (objname, kind) in enumerate(callbacks, first + len(replaced)):
        named_callbacks[objname].append(Callback(kind, f"{klp.ENTRY}{number}"))
    patched = tuple(
        PatchedObject(objname, tuple(entries), tuple(named_callbacks[objname]))
        for objname, entries in functions.items()
    )
    patch = LivePatch(module.name, patched, replace_all)
    named = author_modules.with_global_names(
        objects, [*(one.new for one in replaced), *callbacks.values()], first
    )
    found = tuple(idle_functions(context, module, checked))
    return Authored(module, named, patch, tuple(checked), wrappers, findings=found)


def _wrappers(
    context: ModuleContext,
    module: CModule,
    types: Btf | None,
    call: SystemCall,
    one: Replaced,
    entry: str,
    number: int,
) -> list[tuple[tuple[str, str], Checked]]:
    """Write a wrapper for each function by which the target enters a system call.

    Example: a module replaces ``sys_newuname``.  A 6.1 kernel enters that call through
    ``__x64_sys_newuname()`` and ``__ia32_sys_newuname()``, which take a ``struct pt_regs *``, so
    each wrapper takes the arguments out of it and calls the author's function.

    :return: for each, its name and C text, and the function that it replaces.
    :raises Refusal: ``syscall-unknown``, and what comparing prototypes raises
    """
    vmlinux = context.kernel.vmlinux
    where = module.line_of(one.name)
    entries = call.entries(vmlinux.arch.syscalls)
    places = {address: name for name in reversed(entries) for address in vmlinux.addresses(name)}
    names = {name: macro for name, macro in entries.items() if name in places.values()}
    defined = find_definition(vmlinux, context.tree, call)
    if not names or defined is None:
        near = [f"there is {similar}" for similar in nearest(next(iter(entries)), vmlinux)]
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
        address, position = context.replaceable.locate(VMLINUX, name, 0, lambda _: where)
        checked.append(Checked(VMLINUX, name, position, address, one.new.name, types is not None))
    return list(zip(made.items(), checked, strict=True))


def note_threads(
    module: CModule, objects: Mapping[str, ObjectFile], checked: Sequence[Checked]
) -> None:
    """Note new functions that are main functions of kernel threads.

    They are not refused: an author who writes one knows when its thread ends.
    """
    new = {one.new for one in checked}
    for obj in objects.values():
        view = View(obj)
        units = [unit for unit in view.units if unit.is_function]
        functions = [unit for unit in units if new & {unit.name, *unit.aliases}]
        for function in threads.thread_mains(view, functions):
            note(f"{module.line_of(function.name)}: {function.name}() {threads.TRANSITION_WAITS}")


def idle_functions(
    context: ModuleContext, module: CModule, checked: Sequence[Checked]
) -> Iterator[Finding]:
    """Find the replaced functions that idle tasks stay in (``idle-function-replaced``)."""
    for one in checked:
        if context.is_of_target(one.objname):
            known = context.kernel.threads(one.objname)
            where = f"{module.line_of(one.new)}: {one.function}()"
            yield from threads.idle_function(known, one.address, one.function, where)


def refuse_twice(module: CModule, checked: Sequence[Checked]) -> None:
    """Refuse two replacements of one function: the core would use the later one, or refuse both.

    :raises Refusal: ``function-replaced-twice``
    """
    seen: dict[tuple[str, int], Checked] = {}
    for function in checked:
        first = seen.setdefault((function.objname, function.address), function)
        if first is not function:
            name = f"{function.objname}: {function.function}"
            found = f"{name} is replaced twice, by {first.new} and by {function.new}"
            raise Refusal(FUNCTION_REPLACED_TWICE, module.line_of(function.function), found)


def check_function(
    context: ModuleContext,
    module: CModule,
    types: Btf | None,
    objname: str,
    name: str,
    position: int,
    new: str,
) -> Checked:
    """Check that the target has a function, and that the new one has its type.

    :param position: the position that the author gave; 0 for none.
    :raises Refusal: what `Replaceable.locate` and `check_prototype` raise
    """
    address, core_position = context.replaceable.locate(objname, name, position, module.line_of)
    compared = context.replaceable.check_prototype(objname, name, new, types, module.line_of)
    known = context.kernel.threads(objname) if context.is_of_target(objname) else None
    if known and (why := threads.stays_in_target(known, objname, name, address)):
        note(f"{module.line_of(new)}: {name}() {why}; the transition waits for it")
    return Checked(objname, name, core_position, address, new, compared)
