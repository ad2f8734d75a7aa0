# SPDX-License-Identifier: GPL-2.0-or-later
"""A kGraft or livepatch module's source -> live patch module.

1. The source is read, with its makefile or placeholders (`suture.formats.cmodule`).
2. The target's own kbuild compiles it as any module (`suture.workspace.external`).
3. The functions that its tables replace are checked against the target
   (`suture.verify.replaced`).
4. For kGraft, the core's tables are written and linked with the author's objects
   (`suture.link.author_modules`).
5. Symbols that a module may not link against become livepatch symbols (`suture.link.references`).

Without the unpatched source, nothing proves that a replaced function is the one that the author
had in mind.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from suture.builder.artifact import Artifact, Provenance
from suture.builder.author_tables import (
    check_function,
    definition_of,
    idle_functions,
    is_old_system_call,
    note_threads,
    own_tables,
    patched_functions,
    prepare_module,
    refuse_hooks,
    refuse_twice,
)
from suture.builder.evidence import BuildEvidence
from suture.builder.findings import judged, recorded, refuse_unused
from suture.builder.module_context import ModuleContext, types_of_module
from suture.builder.part import Authored
from suture.diff.escapes import escapes
from suture.elf import reader, writer
from suture.elf.object import ObjectFile
from suture.errors import (
    MODULES_SEVERAL,
    NAME_UNUSABLE,
    NO_LIVEPATCH,
    NOT_A_LIVE_PATCH_SOURCE,
    Acceptance,
    Finding,
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
from suture.link.references import References, with_pending_names
from suture.model import Fix, LivePatch, PatchedFunction
from suture.module import modinfo
from suture.module.inspect import inspect, refuse_unapplied
from suture.verify.kernel import Kernel
from suture.verify.replaced import Checked
from suture.workspace.external import CompiledModule, External, compile_modules
from suture.workspace.prepare import Workspace, prepare

GLUE = "livepatch_glue.c"
KGRAFT = ("kgr_patch_kernel", "kgr_patch")
LIVEPATCH = (author_modules.OUR_ENABLE, "klp_patch")
"""The function that an author's init calls, and the structure that it takes."""


def build_modules(
    given: Input,
    target: Target,
    *,
    output: Path | None = None,
    directory: Path | None = None,
    name: str | None = None,
    several: bool = True,
    fixes: tuple[Fix, ...] = (),
    check: Callable[[Artifact], None] = lambda _: None,
    accepted: Sequence[Acceptance] = (),
    use_all: bool = True,
) -> tuple[Artifact, ...]:
    """Build the module of a C file, or all that a directory's Makefile lists.

    Of several, a module that replaces nothing is one that the others patch or need; it is built as
    it is.

    :param output: the file to write one module to, or a directory; without it and without
        `directory` nothing is written.
    :param directory: where to write each module as ``<name>.ko``.
    :param name: the module's name, if not the author's.
    :param several: whether the source may list more than one module.
    :param fixes: what the live patches are for.
    :param check: called with each artifact before anything is written; may refuse.
    :param accepted: findings that the author accepts.
    :param use_all: whether each of `accepted` has to be found.
    :raises Refusal: many; each says what and why
    """
    options = config.read(target.config)
    source = cmodule.read(given.path, options, target.release, given.only)
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
        # Read the kernel while the compiler runs; its refusals are raised where it is used.
        pool.submit(kernel.read)
        compiled = compile_modules(workspace, [external(module) for module in modules])
    context = ModuleContext(kernel, workspace.tree, modules, compiled)
    with step("Linking", names):
        checked = [_check_module(context, *pair) for pair in zip(modules, compiled, strict=True)]
        _judge(checked, accepted, use_all)
        _link(workspace, checked)
        provenance = Provenance.of(target, (given,))
        checked = [replace(module, fixes=fixes) for module in checked]
        artifacts = [
            replace(_artifact(context, module, target, provenance), suse_fixes=source.fixes)
            for module in checked
        ]
    for artifact in artifacts:
        check(artifact)
    return tuple(artifact.written(path) for artifact, path in zip(artifacts, paths, strict=True))


def _artifact(
    context: ModuleContext, checked: _CheckedModule, target: Target, provenance: Provenance
) -> Artifact:
    obj = _finish(context, checked)
    return Artifact(
        name=checked.module.name,
        data=writer.write(obj),
        target=target,
        patch=_model(obj, checked.module) if checked.patch else LivePatch(checked.module.name, ()),
        provenance=provenance,
        checked=checked.checked,
        author_module=checked.module,
        hands_out=checked.hands_out,
        findings=checked.findings,
        evidence=BuildEvidence(context.kernel, objects=context),
    )


def _model(obj: ObjectFile, module: CModule) -> LivePatch:
    """What the finished module replaces, as read back from it."""
    found = inspect(obj)
    refuse_unapplied(found, module.where)
    return found.patch


def _named(source: cmodule.ModuleSource, name: str | None) -> tuple[CModule, ...]:
    if name is None:
        for module in source.modules:
            kbuild.usable_name(module.name, source.where, _rename_remedy(source))
        return source.modules
    if len(source.modules) != 1:
        raise Refusal(
            NAME_UNUSABLE,
            "--name",
            f"{source.where} holds {len(source.modules)} modules",
            why="Modules cannot share a name.",
            remedy="Omit --name: each module has the name that the Makefile gives it.",
        )
    return (source.modules[0].renamed(kbuild.usable_name(name)),)


def _rename_remedy(source: cmodule.ModuleSource) -> str | None:
    return "Rename the module in its Makefile." if len(source.modules) > 1 else None


def _outputs(
    modules: Sequence[CModule], output: Path | None, directory: Path | None
) -> list[Path | None]:
    """Return the file for each module; None where nothing is written.

    :raises Refusal: ``file-unwritable`` and others of `check_output`
    """
    if output is None and directory is None:
        return [None] * len(modules)
    if len(modules) == 1 and output is not None and not output.is_dir():
        check_output(output)
        return [output]
    if output is not None and not output.is_dir():
        check_output(output)  # the directory that is made for them
    paths = [(output or directory or Path()) / f"{module.name}.ko" for module in modules]
    for path in paths:
        check_output(path, makes_parents=True)
    return list(paths)


SEEN_ON_STACKS = ("-fno-optimize-sibling-calls", "-fno-reorder-blocks-and-partition")
"""Options that keep the replacing function on the stack of a task that sleeps in code below it
(docs/stacks.md): it calls what it uses and does not jump there, and no part of it is moved away."""


def external(module: CModule) -> External:
    """Return an author's module as kbuild is to build it."""
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
class _CheckedModule:
    """A module with checked tables; `_link` exchanges `linked` where there is glue.

    :ivar linked: as kbuild linked it; with `glue`, still to be linked again.
    :ivar patch: what it replaces, and from where; None where it replaces nothing.
    :ivar glue: the C to be linked with `objects`; "" for none.
    :ivar hands_out: the addresses in it that the kernel may keep, as sentences.
    :ivar fixes: what it is for.
    :ivar findings: the functions that it replaces and that idle tasks stay in.
    """

    module: CModule
    linked: ObjectFile
    checked: tuple[Checked, ...] = ()
    patch: LivePatch | None = None
    glue: str = ""
    objects: Mapping[str, ObjectFile] = field(default_factory=dict)
    hands_out: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    findings: tuple[Finding, ...] = ()


def _check_module(
    context: ModuleContext, module: CModule, compiled: CompiledModule
) -> _CheckedModule:
    """Read what a module replaces, and check it against the target."""
    objtool.refuse_doubts(module.name, compiled.said, context.kernel.target.arch.build)
    linked = reader.read(compiled.module, f"{module.name}.ko")
    if module.dialect is Dialect.PLAIN:
        return _CheckedModule(module, linked)
    types = types_of_module(compiled, module.name)
    if module.dialect is Dialect.KGRAFT:
        return _with_glue(context, prepare_module(context, module, compiled), linked, KGRAFT)
    objects = {part: reader.read(data, part) for part, data in compiled.objects.items()}
    refuse_hooks(module, objects)
    refuse_unresolvable(objects, context.shipped, module.line_of)
    patch = own_tables(context, module, linked)
    if any(is_old_system_call(context, *function) for function in patched_functions(patch)):
        return _with_glue(context, prepare_module(context, module, compiled), linked, LIVEPATCH)
    checked = tuple(
        check_function(context, module, types, objname, f.old_name, f.sympos, f.new_name)
        for objname, f in patched_functions(patch)
    )
    refuse_twice(module, checked)
    note_threads(module, objects, checked)
    described = _with_sources(module, objects, patch)
    hands_out = tuple(map(str, escapes(list(objects.values()))))
    found = tuple(idle_functions(context, module, checked))
    return _CheckedModule(module, linked, checked, described, hands_out=hands_out, findings=found)


def _with_sources(
    module: CModule, objects: Mapping[str, ObjectFile], patch: LivePatch
) -> LivePatch:
    """Return the same live patch with the place in the source of each new function."""

    def with_source(function: PatchedFunction) -> PatchedFunction:
        """Return a replaced function with its new function's place."""
        return replace(function, source=definition_of(module, objects, function.new_name))

    objects_with_sources = (
        replace(obj, functions=tuple(map(with_source, obj.functions))) for obj in patch.objects
    )
    return replace(patch, objects=tuple(objects_with_sources))


def _with_glue(
    context: ModuleContext, authored: Authored, linked: ObjectFile, registration: tuple[str, str]
) -> _CheckedModule:
    release = context.kernel.target.release
    registered = glue.Registration(*registration, authored.wrappers)
    source = glue.source(authored.patch, release, registration=registered, states=authored.states)
    objects = authored.objects
    hands_out = tuple(map(str, escapes(list(objects.values()))))
    return _CheckedModule(
        authored.module,
        linked,
        authored.checked,
        authored.patch,
        source,
        objects,
        hands_out,
        findings=authored.findings,
    )


def _judge(
    modules: Sequence[_CheckedModule], accepted: Sequence[Acceptance], use_all: bool
) -> None:
    """Judge what was found about the modules.

    :param use_all: as in `build_modules`.

    :raises Refusal: what was found and not accepted; ``accepted-not-found``
    """
    for checked in modules:
        checked.findings = judged(checked.findings, accepted)
    if use_all:
        refuse_unused(chain.from_iterable(checked.findings for checked in modules), accepted)


def _link(workspace: Workspace, modules: Sequence[_CheckedModule]) -> None:
    """Link the modules that have glue, all in one run of kbuild."""
    waiting = [checked for checked in modules if checked.glue]
    externals = [_with_objects(checked) for checked in waiting]
    for checked, compiled in zip(waiting, compile_modules(workspace, externals), strict=True):
        objtool.refuse_doubts(checked.module.name, compiled.said, workspace.target.arch.build)
        checked.linked = reader.read(compiled.module, f"{checked.module.name}.ko")


def _with_objects(checked: _CheckedModule) -> External:
    """Return the module as kbuild is to link it: its glue, and the author's objects."""
    objects = {
        f"part_{number}": writer.write(obj) for number, obj in enumerate(checked.objects.values())
    }
    return External(checked.module.name, {GLUE: checked.glue.encode()}, (GLUE,), objects=objects)


def _finish(context: ModuleContext, checked: _CheckedModule) -> ObjectFile:
    """Make the references that the core resolves livepatch symbols, and describe the live patch in
    ``.modinfo``."""
    if checked.patch is None:
        return checked.linked
    objnames = [patched.name for patched in checked.patch.objects]
    references = References(
        context.kernel.symvers,
        context.shipped,
        objnames,
        checked.module.line_of,
        context.has_module,
    )
    described = replace(
        checked.patch,
        shadow_variables=shadows.used_by(checked.linked),
        fixes=checked.fixes,
        findings=tuple(map(recorded, checked.findings)),
    )
    return modinfo.with_entries(
        klp.finish(with_pending_names(checked.linked, references)), described
    )
