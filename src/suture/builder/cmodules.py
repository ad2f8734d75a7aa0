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

import importlib.resources
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from suture.builder.artifact import Artifact, Provenance
from suture.builder.author_tables import (
    check_function,
    definition_of,
    each_function,
    is_old_call,
    note_threads,
    own_tables,
    refuse_hooks,
    refuse_twice,
    taken_apart,
)
from suture.builder.module_context import ModuleContext, types_of_module
from suture.builder.part import Authored
from suture.elf import reader, writer
from suture.elf.object import ObjectFile
from suture.errors import (
    MODULES_SEVERAL,
    NAME_UNUSABLE,
    NO_LIVEPATCH,
    NOT_A_LIVE_PATCH_SOURCE,
    Refusal,
)
from suture.formats import cmodule
from suture.formats.cmodule import CModule, Dialect
from suture.formats.recognise import Input
from suture.host.files import check_output
from suture.host.progress import step
from suture.kernel import config
from suture.kernel.release import Target
from suture.link import author_modules, glue, kbuild, klp, objtool, shadows
from suture.link.author_checks import refuse_unresolvable
from suture.link.references import References, pending
from suture.model import LivePatch, PatchedFunction
from suture.module import modinfo
from suture.module.inspect import inspect
from suture.verify.kernel import Kernel
from suture.verify.replaced import Checked
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
    context = ModuleContext(kernel, workspace.tree, modules, compiled)
    with step("Linking", names):
        taken = [_take(context, *pair) for pair in zip(modules, compiled, strict=True)]
        _link(workspace, taken)
        provenance = Provenance.of(target, (given,))
        made = [_artifact(context, one, target, provenance) for one in taken]
    for artifact in made:
        accept(artifact)
    return tuple(one.written(path) for one, path in zip(made, paths, strict=True))


def _artifact(
    context: ModuleContext, one: _Taken, target: Target, provenance: Provenance
) -> Artifact:
    obj = _finish(context, one)
    return Artifact(
        name=one.module.name,
        data=writer.write(obj),
        target=target,
        patch=inspect(obj).patch if one.patch else LivePatch(one.module.name, ()),
        provenance=provenance,
        checked=one.checked,
        author_module=one.module,
    )


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


def _take(context: ModuleContext, module: CModule, compiled: CompiledModule) -> _Taken:
    """Read what a module replaces, and check it against the target."""
    objtool.refuse_doubts(module.name, compiled.said, context.kernel.target.arch.build)
    linked = reader.read(compiled.module, f"{module.name}.ko")
    if module.dialect is Dialect.PLAIN:
        return _Taken(module, linked)
    types = types_of_module(compiled, module.name)
    if module.dialect is Dialect.KGRAFT:
        return _with_glue(context, taken_apart(context, module, compiled), linked, KGRAFT)
    objects = {part: reader.read(data, part) for part, data in compiled.objects.items()}
    refuse_hooks(module, objects)
    refuse_unresolvable(objects, context.shipped, module.line_of)
    patch = own_tables(context, module, linked)
    if any(is_old_call(context, *each) for each in each_function(patch)):
        return _with_glue(context, taken_apart(context, module, compiled), linked, LIVEPATCH)
    checked = tuple(
        check_function(context, module, types, objname, one.old_name, one.sympos, one.new_name)
        for objname, one in each_function(patch)
    )
    refuse_twice(module, checked)
    note_threads(module, objects, checked)
    return _Taken(module, linked, checked, _with_sources(module, objects, patch))


def _with_sources(
    module: CModule, objects: Mapping[str, ObjectFile], patch: LivePatch
) -> LivePatch:
    """The same, with the place in the source of each new function."""

    def found(function: PatchedFunction) -> PatchedFunction:
        return replace(function, source=definition_of(module, objects, function.new_name))

    patched = (replace(one, functions=tuple(map(found, one.functions))) for one in patch.objects)
    return replace(patch, objects=tuple(patched))


def _with_glue(
    context: ModuleContext, authored: Authored, linked: ObjectFile, registration: tuple[str, str]
) -> _Taken:
    release = context.kernel.target.release
    registered = glue.Registration(*registration, authored.wrappers)
    source = glue.source(authored.patch, release, registration=registered, states=authored.states)
    return _Taken(
        authored.module, linked, authored.checked, authored.patch, source, authored.objects
    )


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


def _finish(context: ModuleContext, one: _Taken) -> ObjectFile:
    if one.patch is None:
        return one.linked
    objnames = [patched.name for patched in one.patch.objects]
    references = References(context.kernel.symvers, context.shipped, objnames, one.module.line_of)
    described = replace(one.patch, shadow_variables=shadows.used_by(one.linked))
    return modinfo.with_entries(klp.finish(pending(one.linked, references)), described)
