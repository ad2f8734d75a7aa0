# SPDX-License-Identifier: GPL-2.0-or-later
"""A kGraft or livepatch module's source -> live patch module.

1. The source is read, and its makefile or place holders with it (`suture.formats.cmodule`).
2. It is compiled by the target's own kbuild, as any module (`suture.workspace.external`).
3. What it replaces is read from its tables, and checked against the target as far as that goes
   (`suture.verify.replaced`).
4. For kGraft, the core's tables are written and linked with the author's objects
   (`suture.link.author_modules`).
5. What it may not link against becomes livepatch symbols (`suture.link.references`).

There is no unpatched source, so the replaced functions are not proved to be what the author took
them for.
"""

from __future__ import annotations

import difflib
import importlib.resources
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from suture.builder.artifact import Artifact, Provenance
from suture.builder.part import Authored
from suture.diff.hooks import OF_PATCHES
from suture.elf import reader, writer
from suture.elf.object import ObjectFile, Symbol
from suture.errors import (
    CALLBACK_UNUSABLE,
    FUNCTION_NOT_IN_KERNEL,
    FUNCTION_REPLACED_TWICE,
    MODULES_SEVERAL,
    NAME_UNUSABLE,
    NO_LIVEPATCH,
    NOT_A_LIVE_PATCH_SOURCE,
    OBJECT_UNKNOWN,
    SYSCALL_UNKNOWN,
    Refusal,
)
from suture.formats import cmodule
from suture.formats.cmodule import CModule, Dialect
from suture.formats.recognise import Input
from suture.host.files import check_output
from suture.host.progress import note, step
from suture.kernel import config
from suture.kernel.btf import Btf
from suture.kernel.modules import index
from suture.kernel.release import Target
from suture.kernel.types import struct_sizes
from suture.link import author_modules, glue, kbuild, kgraft, klp, objtool, shadows, syscalls
from suture.link.author_checks import STRUCTS, refuse_unresolvable, refuse_unterminated
from suture.link.kgraft import Replaced
from suture.link.references import References, pending
from suture.model import VMLINUX, Callback, CallbackKind, LivePatch, PatchedFunction, PatchedObject
from suture.module import modinfo
from suture.module.inspect import inspect
from suture.objects.view import View
from suture.verify import threads
from suture.verify.kernel import Kernel
from suture.verify.replaced import Checked, Replaceable
from suture.verify.shipped import Shipped, lay_out
from suture.verify.sympos import nearest
from suture.verify.syscalls import SystemCall, called, definition
from suture.workspace.external import CompiledModule, External, compile_modules
from suture.workspace.prepare import Workspace, prepare

GLUE = "livepatch_glue.c"
KGRAFT = ("kgr_patch_kernel", "kgr_patch")
LIVEPATCH = (author_modules.OUR_ENABLE, "klp_patch")
"""What an author's init calls, and the structure that it takes."""


def build_modules(
    given: Input,
    target: Target,
    *,
    output: Path | None = None,
    directory: Path | None = None,
    name: str | None = None,
    several: bool = True,
    accept: Callable[[Artifact], None] = lambda _: None,
) -> tuple[Artifact, ...]:
    """Build the module of a C file, or all that a directory's Makefile lists.

    Of several, those that replace nothing are what the others patch or need, and are built as they
    are.

    :param output: the file to write one module to, or a directory; with neither this nor
        `directory` nothing is written.
    :param directory: where to write each as ``<name>.ko``.
    :param name: the module's name, if not the author's.
    :param several: whether there may be more than one.
    :param accept: called with each artifact before anything is written; may refuse.
    :raises Refusal: many; each says what and why
    """
    options = config.read(target.config)
    source = cmodule.read(given.path, options, target.release)
    if not several and len(source.modules) > 1:
        raise Refusal(MODULES_SEVERAL, source.where, f"it lists {len(source.modules)}")
    modules = _named(source, name)
    if all(module.dialect is Dialect.PLAIN for module in modules):
        raise Refusal(NOT_A_LIVE_PATCH_SOURCE, source.where, modules[0].because)
    paths = _outputs(modules, output, directory)
    if not options.enabled("LIVEPATCH"):
        raise Refusal(NO_LIVEPATCH, target.release, "CONFIG_LIVEPATCH is not set")
    workspace = prepare(target)
    kernel = Kernel(target)
    names = ", ".join(module.name for module in modules)
    with ThreadPoolExecutor(1) as pool, step("Compiling", names):
        # While the compiler runs; what is wrong with the kernel shows when it is used.
        pool.submit(kernel.read)
        compiled = compile_modules(workspace, [external(module) for module in modules])
    around = Around(kernel, workspace.tree, modules, compiled)
    with step("Linking", names):
        taken = [_take(around, *pair) for pair in zip(modules, compiled, strict=True)]
        _link(workspace, taken)
        provenance = Provenance.of(target, (given,))
        made = [_artifact(around, one, target, provenance) for one in taken]
    for artifact in made:
        accept(artifact)
    return tuple(one.written(path) for one, path in zip(made, paths, strict=True))


def _artifact(around: Around, one: _Taken, target: Target, provenance: Provenance) -> Artifact:
    obj = _finish(around, one)
    return Artifact(
        name=one.module.name,
        data=writer.write(obj),
        target=target,
        patch=inspect(obj).patch if one.patch else LivePatch(one.module.name, ()),
        provenance=provenance,
        checked=one.checked,
        author_module=one.module,
    )


class Around:
    """What the modules of one source may refer to: the target, and each other."""

    def __init__(
        self,
        kernel: Kernel,
        tree: Path,
        modules: Sequence[CModule],
        compiled: Sequence[CompiledModule],
    ) -> None:
        self.kernel = kernel
        self.tree = tree
        self._beside = {
            module.name: one
            for module, one in zip(modules, compiled, strict=True)
            if module.dialect is Dialect.PLAIN
        }
        self._shipped: dict[str, Shipped] = {}
        self.replaceable = Replaceable(self.shipped, self.types_of)

    def shipped(self, objname: str) -> Shipped:
        if objname not in self._beside:
            return self.kernel.shipped(objname)
        if objname not in self._shipped:
            self._shipped[objname] = lay_out(
                reader.read(self._beside[objname].module, objname), objname
            )
        return self._shipped[objname]

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of the core's structures."""
        btf = self.kernel.vmlinux.image.section(".BTF")
        return struct_sizes(btf, STRUCTS, self.kernel.target.release) if btf else {}

    @cached_property
    def modules(self) -> tuple[str, ...]:
        return tuple(index(self.kernel.target))

    def has_module(self, objname: str) -> bool:
        return objname in self._beside or objname in self.modules

    def has(self, objname: str, name: str) -> bool:
        return bool(self.shipped(objname).addresses(name))

    def types_of(self, objname: str) -> Btf | None:
        if objname not in self._beside:
            return self.kernel.types_of(objname)
        return _types(self._beside[objname], objname)


def _named(source: cmodule.ModuleSource, name: str | None) -> tuple[CModule, ...]:
    if name is None:
        for module in source.modules:
            kbuild.check_name(module.name, source.where)
        return source.modules
    if len(source.modules) != 1:
        raise Refusal(
            NAME_UNUSABLE, "--name", f"{source.where} holds {len(source.modules)} modules"
        )
    return (source.modules[0].renamed(kbuild.check_name(name)),)


def _outputs(
    modules: Sequence[CModule], output: Path | None, directory: Path | None
) -> list[Path | None]:
    """Where each module is to be written; None where nothing is.

    :raises Refusal: ``file-unwritable`` and others of `check_output`
    """
    if output is None and directory is None:
        return [None] * len(modules)
    if len(modules) == 1 and output is not None and not output.is_dir():
        paths = [output]
    else:
        paths = [(output or directory or Path()) / f"{module.name}.ko" for module in modules]
    for path in paths:
        check_output(path)
    return list(paths)


SEEN_ON_STACKS = ("-fno-optimize-sibling-calls", "-fno-reorder-blocks-and-partition")
"""A task that sleeps in new code is found by the function that replaces another (docs/stacks.md).
So what that function uses is called by it and not jumped to, and no part of it is moved away."""


def external(module: CModule) -> External:
    seen = () if module.dialect is Dialect.PLAIN else SEEN_ON_STACKS
    own = importlib.resources.files("suture.formats") / "include"
    return External(
        module.name,
        module.files,
        module.parts,
        module.include,
        (*module.options, *seen),
        (Path(str(own)),),
    )


def _types(compiled: CompiledModule, where: str) -> Btf | None:
    return Btf(compiled.btf, where) if compiled.btf else None


@dataclass(slots=True)
class _Taken:
    """A module on its way.

    :ivar linked: as kbuild linked it, or, with `glue`, is still to link it.
    :ivar patch: what it replaces, and from where; None where that is nothing.
    :ivar glue: the C to be linked with `objects`.
    """

    module: CModule
    linked: ObjectFile
    checked: tuple[Checked, ...] = ()
    patch: LivePatch | None = None
    glue: str = ""
    objects: Mapping[str, ObjectFile] = field(default_factory=dict)


def _refuse_hooks(module: CModule, objects: Mapping[str, ObjectFile]) -> None:
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
    around: Around, module: CModule, compiled: CompiledModule, first: int = 0
) -> Authored:
    """:param first: number of the first global name that is given."""
    objtool.refuse_doubts(module.name, compiled.said, around.kernel.target.arch.build)
    objects = {part: reader.read(data, part) for part, data in compiled.objects.items()}
    _refuse_hooks(module, objects)
    refuse_unresolvable(objects, around.shipped, module.line_of)
    types = _types(compiled, module.name)
    if module.dialect is Dialect.KGRAFT:
        table = kgraft.table(objects)
        _refuse_absent(around, module, [one.objname for one in table.functions])
        _refuse_missing(around, module, table.functions)
        return _tables(
            around, module, types, objects, table.functions, {}, table.replace_all, first
        )
    linked = reader.read(compiled.module, f"{module.name}.ko")
    return _from_livepatch(
        around, module, types, objects, _own_tables(around, module, linked), first
    )


def _own_tables(around: Around, module: CModule, linked: ObjectFile) -> LivePatch:
    """What a livepatch module's own tables say; they end, and the objects that they name are
    there."""
    refuse_unterminated(linked, around.sizes, module.line_of)
    patch = author_modules.own_tables(linked, module.where)
    _refuse_absent(around, module, [patched.name for patched in patch.objects])
    return patch


def _take(around: Around, module: CModule, compiled: CompiledModule) -> _Taken:
    """Read what a module replaces, and check it against the target."""
    objtool.refuse_doubts(module.name, compiled.said, around.kernel.target.arch.build)
    linked = reader.read(compiled.module, f"{module.name}.ko")
    if module.dialect is Dialect.PLAIN:
        return _Taken(module, linked)
    types = _types(compiled, module.name)
    if module.dialect is Dialect.KGRAFT:
        return _with_glue(around, taken_apart(around, module, compiled), linked, KGRAFT)
    objects = {part: reader.read(data, part) for part, data in compiled.objects.items()}
    _refuse_hooks(module, objects)
    refuse_unresolvable(objects, around.shipped, module.line_of)
    patch = _own_tables(around, module, linked)
    if any(_is_old_call(around, *each) for each in _each(patch)):
        return _with_glue(around, taken_apart(around, module, compiled), linked, LIVEPATCH)
    checked = tuple(
        _check(around, module, types, objname, one.old_name, one.sympos, one.new_name)
        for objname, one in _each(patch)
    )
    _refuse_twice(module, checked)
    _note_threads(module, objects, checked)
    return _Taken(module, linked, checked, _with_sources(module, objects, patch))


def _with_sources(
    module: CModule, objects: Mapping[str, ObjectFile], patch: LivePatch
) -> LivePatch:
    """The same, with the place in the source of each new function."""

    def found(function: PatchedFunction) -> PatchedFunction:
        return replace(function, source=_source(module, objects, function.new_name))

    patched = (replace(one, functions=tuple(map(found, one.functions))) for one in patch.objects)
    return replace(patch, objects=tuple(patched))


def _source(module: CModule, objects: Mapping[str, ObjectFile], function: str) -> str:
    """Where a new function is defined."""
    for part, obj in objects.items():
        if any(symbol.name == function and symbol.is_defined_here for symbol in obj.symbols):
            return module.definition_of(function, part)
    return module.line_of(function)


def _refuse_absent(around: Around, module: CModule, objnames: Sequence[str]) -> None:
    """:raises Refusal: ``module-not-found``"""
    for objname in dict.fromkeys(objnames):
        if objname != VMLINUX and not around.has_module(objname):
            found = f"{around.kernel.target.release} has no module {objname}"
            near = [
                f"there is {one}" for one in difflib.get_close_matches(objname, around.modules, 3)
            ]
            raise Refusal(OBJECT_UNKNOWN, module.line_of(objname), found, evidence=near)


def _each(patch: LivePatch) -> Iterator[tuple[str, PatchedFunction]]:
    return ((patched.name, function) for patched in patch.objects for function in patched.functions)


def _is_old_call(around: Around, objname: str, function: PatchedFunction) -> bool:
    """Whether it is a system call by the name of its function before 4.17."""
    name = function.old_name
    return objname == VMLINUX and called(name) is not None and not around.has(objname, name)


def _with_glue(
    around: Around, authored: Authored, linked: ObjectFile, registration: tuple[str, str]
) -> _Taken:
    release = around.kernel.target.release
    registered = glue.Registration(*registration, authored.wrappers)
    source = glue.source(authored.patch, release, registration=registered, states=authored.states)
    return _Taken(
        authored.module, linked, authored.checked, authored.patch, source, authored.objects
    )


def _refuse_missing(around: Around, module: CModule, replaced: Sequence[Replaced]) -> None:
    for one in replaced:
        if not one.abort_if_missing and not around.has(one.objname, one.name):
            found = (
                f"{one.name} is not in {one.objname}, and KGR_PATCH() says that it may be missing"
            )
            remedy = "Name the module that it is in (KGR_PATCH_OBJ), or leave it out."
            raise Refusal(FUNCTION_NOT_IN_KERNEL, module.line_of(one.name), found, remedy=remedy)


def _from_livepatch(
    around: Around,
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
        for objname, one in _each(patch)
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
        _tables(around, module, types, without, functions, callbacks, patch.replace, first),
        states=states,
    )


def _tables(
    around: Around,
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
        source = _source(module, objects, one.new.name)
        call = (
            called(one.name)
            if one.objname == VMLINUX and not around.has(VMLINUX, one.name)
            else None
        )
        if call is None:
            checked.append(
                _check(around, module, types, one.objname, one.name, one.sympos, one.new.name)
            )
            of_object.append(PatchedFunction(one.name, checked[-1].sympos, entry, source))
            continue
        made = _wrappers(around, module, types, call, one, entry, number)
        for (name, text), found in made:
            wrappers[name] = text
            checked.append(found)
            of_object.append(PatchedFunction(found.function, found.sympos, name, source))
    _refuse_twice(module, checked)
    _note_threads(module, objects, checked)
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
    around: Around,
    module: CModule,
    types: Btf | None,
    call: SystemCall,
    one: Replaced,
    entry: str,
    number: int,
) -> list[tuple[tuple[str, str], Checked]]:
    """A wrapper for each function by which the target enters a system call."""
    vmlinux = around.kernel.vmlinux
    where = module.line_of(one.name)
    entries = call.entries(vmlinux.arch.syscalls)
    places = {address: name for name in reversed(entries) for address in vmlinux.addresses(name)}
    names = {name: macro for name, macro in entries.items() if name in places.values()}
    defined = definition(vmlinux, around.tree, call)
    if not names or defined is None:
        near = [f"there is {name}" for name in nearest(next(iter(entries)), vmlinux)]
        found = f"{around.kernel.target.release} has no system call {call.name}"
        raise Refusal(SYSCALL_UNKNOWN, where, found, evidence=near)
    for prototype in types.functions(one.new.name) if types else ():
        assert types is not None
        place = module.line_of(one.new.name)
        syscalls.refuse_differing(
            place, one.new.name, defined, around.kernel.types, types, prototype
        )
    made = syscalls.wrappers(defined, names, entry, number)
    checked = []
    for name in names:
        address, position = around.replaceable.check(VMLINUX, name, 0, lambda _: where)
        checked.append(Checked(VMLINUX, name, position, address, one.new.name, types is not None))
    return list(zip(made.items(), checked, strict=True))


def _note_threads(
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


def _refuse_twice(module: CModule, checked: Sequence[Checked]) -> None:
    """The core would take the later of two replacements of one function, or refuse both."""
    seen: dict[tuple[str, int], Checked] = {}
    for one in checked:
        first = seen.setdefault((one.objname, one.address), one)
        if first is not one:
            found = (
                f"{one.objname}: {one.function} is replaced twice, by {first.new} and by {one.new}"
            )
            raise Refusal(FUNCTION_REPLACED_TWICE, module.line_of(one.function), found)


def _link(workspace: Workspace, taken: Sequence[_Taken]) -> None:
    """Link what has glue, all in one run of kbuild."""
    waiting = [one for one in taken if one.glue]
    externals = [
        External(
            one.module.name,
            {GLUE: one.glue.encode()},
            (GLUE,),
            objects={
                f"part_{number}": writer.write(obj)
                for number, obj in enumerate(one.objects.values())
            },
        )
        for one in waiting
    ]
    for one, compiled in zip(waiting, compile_modules(workspace, externals), strict=True):
        objtool.refuse_doubts(one.module.name, compiled.said, workspace.target.arch.build)
        one.linked = reader.read(compiled.module, f"{one.module.name}.ko")


def _finish(around: Around, one: _Taken) -> ObjectFile:
    if one.patch is None:
        return one.linked
    objnames = [patched.name for patched in one.patch.objects]
    references = References(around.kernel.symvers, around.shipped, objnames, one.module.line_of)
    described = replace(one.patch, shadow_variables=shadows.used_by(one.linked))
    return modinfo.with_entries(klp.finish(pending(one.linked, references)), described)


def _check(
    around: Around,
    module: CModule,
    types: Btf | None,
    objname: str,
    name: str,
    position: int,
    new: str,
) -> Checked:
    address, core_position = around.replaceable.check(objname, name, position, module.line_of)
    compared = around.replaceable.compare(objname, name, new, types, module.line_of)
    return Checked(objname, name, core_position, address, new, compared)
