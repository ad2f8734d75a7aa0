# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs and a target -> a live patch module.

1. The inputs are recognised and read, written live patches opened (`inputs`).
2. The files that they change are compiled: those of source diffs before and after the patch,
   authors' modules as they are (`suture.workspace`).
3. Changed code is cut out of the objects of source diffs (`source_diffs`) and of modules for
   kpatch's own core (`kpatch_objects`); authors' modules are prepared for linking (`together`).
4. The parts become one model of the live patch and the objects to link (`assemble`).
5. The module is linked for the target's core (`suture.link.core_module`), read back, and compared
   with what a written live patch expects.
6. The artifact is written when everything else is done.

A single author's module registers itself, and is built by `cmodules`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import replace as replaced
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from suture.builder.artifact import Artifact, Provenance
from suture.builder.assemble import DATA, assemble
from suture.builder.compiled_diffs import CompiledDiffs, compile_diffs
from suture.builder.evidence import BuildEvidence
from suture.builder.findings import judged, recorded
from suture.builder.findings import refuse_unused as refuse_unused_acceptances
from suture.builder.fixes import described
from suture.builder.given import directory_of_modules
from suture.builder.inputs import NO_CHOICES, Choices, Inputs, gathered, said_by, with_fixes
from suture.builder.part import Authored, Cut
from suture.builder.source_diffs import DiffParts, cut_source_diffs
from suture.diff.contents import new_values
from suture.diff.escapes import escapes
from suture.diff.omitted import LeftOut
from suture.elf import writer
from suture.elf.object import ObjectFile
from suture.errors import (
    DATA_NEEDS_REPLACE,
    DATA_NOT_CHANGED,
    MODEL_DIFFERS,
    MODULE_STANDS_ALONE,
    NOT_A_LIVE_PATCH_SOURCE,
    STATES_SEVERAL,
    Finding,
    Refusal,
)
from suture.formats import diff
from suture.formats.diff import PatchSource
from suture.formats.recognise import DIFFS, MODULES, Format, recognise
from suture.host.files import check_output, read_bytes
from suture.host.pipes import kept
from suture.host.progress import step
from suture.kernel.release import Target, names_kernel
from suture.link.author_modules import Author
from suture.link.core_module import CoreModule, ModuleParts
from suture.link.glue import Variable
from suture.link.livepatch_module import LivepatchModule
from suture.model import LivePatch
from suture.module import carried
from suture.module.inspect import inspect, refuse_unapplied
from suture.verify.kernel import Kernel
from suture.verify.threads import refuse_unused
from suture.workspace.applying import Adapted
from suture.workspace.prepare import Workspace, prepare

if TYPE_CHECKING:
    from suture.builder.together import Modules

LIVEPATCH: CoreModule = LivepatchModule()


@kept()
def build(
    patches: Sequence[Path | str],
    target: Target,
    *,
    git: Path | str | None = None,
    output: Path | str | None = None,
    directory: Path | str | None = None,
    name: str | None = None,
    replace: bool | None = None,
    format: Format | None = None,
    strip: int | None = None,
    choices: Choices = NO_CHOICES,
    keep_evidence: bool = False,
) -> Artifact:
    """Build one live patch module from one or more inputs.

    :param patches: files, directories, web addresses, ``-`` for standard input
        (`suture.builder.given`); with `git`, a commit or a range, and paths.
    :param git: a repository.
    :param output: the file to write; without it and without `directory` nothing is written.
    :param directory: where to write ``<name>.ko``.
    :param name: the module's name; by default that of a written live patch, else ``livepatch_`` and
        the first input's name.
    :param replace: the live patch replaces all that were loaded before it (``klp_patch.replace``);
        None for what a written live patch says, else true.
    :param format: the format of the inputs; None to detect it.
    :param strip: leading path components to drop from file names in the patch, as ``patch -p``.
    :param choices: further decisions; those of written live patches are added.
    :param keep_evidence: keep what `suture.report` needs of the build in `Artifact.evidence`.
    :raises Refusal: many; each says what and why
    """
    with gathered(
        patches,
        git=_path(git),
        format=format,
        strip=strip,
        name=name,
        replace=replace,
        choices=choices,
    ) as inputs:
        return build_gathered(
            inputs,
            target,
            output=_path(output),
            directory=_path(directory),
            keep_evidence=keep_evidence,
        )


@names_kernel
def build_gathered(
    inputs: Inputs,
    target: Target,
    *,
    output: Path | None = None,
    directory: Path | None = None,
    keep_evidence: bool = False,
) -> Artifact:
    """Build one live patch module from inputs that are gathered already; otherwise as `build`."""
    started = time.monotonic()
    if output is not None:
        check_output(output)
    if inputs.of_formats(MODULES) and not inputs.of_formats(DIFFS):
        _refuse_options(inputs)
    if inputs.is_one_module and inputs.replace is None:
        artifact = _author_module(inputs, target, output, directory)
    else:
        path = output or (directory / f"{inputs.name}.ko" if directory is not None else None)
        artifact = _build(inputs, target, path)
    return _finished(artifact, started, keep_evidence)


@kept()
@names_kernel
def build_all(
    patches: Sequence[Path | str],
    target: Target,
    *,
    git: Path | str | None = None,
    output: Path | str | None = None,
    directory: Path | str | None = None,
    name: str | None = None,
    replace: bool | None = None,
    format: Format | None = None,
    strip: int | None = None,
    choices: Choices = NO_CHOICES,
    keep_evidence: bool = False,
) -> tuple[Artifact, ...]:
    """Build as `build` does, and build every module that a directory's Makefile lists.

    :param output: the file to write one module to; a directory for several.
    :raises Refusal: many; each says what and why
    """
    started = time.monotonic()
    output, directory = _path(output), _path(directory)
    first = directory_of_modules(patches) if git is None else None
    if first is not None and replace is None and not _named(choices):
        given = recognise(first, format, strip)
        if given.format in MODULES:
            (given,) = with_fixes([given], choices.only)
            from suture.builder.suse_fixes import build_fixes

            artifacts = build_fixes(
                given,
                target,
                output=output,
                directory=directory,
                name=name,
                fixes=described(choices.said, said_by(given), name or first.resolve().name),
                accepted=choices.accepted,
            )
            return tuple(_finished(artifact, started, keep_evidence) for artifact in artifacts)
    artifact = build(
        patches,
        target,
        git=git,
        output=output,
        directory=directory,
        name=name,
        replace=replace,
        format=format,
        strip=strip,
        choices=choices,
        keep_evidence=keep_evidence,
    )
    return (artifact,)


def _finished(artifact: Artifact, started: float, keep_evidence: bool) -> Artifact:
    """Record how long the build took; what it worked with takes memory, and is dropped unless
    asked for."""
    evidence = artifact.evidence if keep_evidence else None
    return replaced(artifact, seconds=time.monotonic() - started, evidence=evidence)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


@dataclass(frozen=True, slots=True)
class _CompiledInputs:
    """The inputs, compiled.

    :ivar modules: authors' modules.
    :ivar diffs: None without source diffs.
    """

    workspace: Workspace
    kernel: Kernel
    modules: Modules | None
    diffs: CompiledDiffs | None


@dataclass(frozen=True, slots=True)
class _CutInputs:
    """The parts of the live patch before they are assembled."""

    diffs: DiffParts
    authored: Sequence[Authored]
    authors: Sequence[Author]
    adapted: tuple[Adapted, ...] = ()

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables that the live patch changes in memory."""
        return tuple(variable for cut in self.diffs.cuts for variable in cut.data)


def _build(inputs: Inputs, target: Target, path: Path | None) -> Artifact:
    _refuse_data_without_replace(inputs)
    if path is not None:
        check_output(path, makes_parents=True)
    source = _source_diffs(inputs)
    LIVEPATCH.refuse_unsupported(target)
    compiled = _compile(inputs, source, target)
    parts = _cut_out(inputs, compiled)
    with step("Linking", f"{inputs.name}.ko"):
        wanted = _assemble(inputs, parts)
        module = LIVEPATCH.make(wanted, compiled.kernel, compiled.workspace)
        module = carried.with_source(module, _carried_archive(inputs))
        inspection = inspect(module)
        refuse_unapplied(inspection, inputs.name)
        made = inspection.patch
        _refuse_unexpected(inputs, made, target)
        artifact = _artifact(inputs, target, module, made, parts, wanted)
        evidence = _evidence(compiled, parts)
        return replaced(artifact, evidence=evidence).written(path)


def _carried_archive(inputs: Inputs) -> bytes:
    from suture.builder.written_form import carried_archive

    return carried_archive(inputs)


def _evidence(compiled: _CompiledInputs, parts: _CutInputs) -> BuildEvidence:
    changes = compiled.diffs.pairs[0].changes if compiled.diffs else ()
    diffs = parts.diffs
    return BuildEvidence(
        compiled.kernel,
        diffs.plan,
        compiled.workspace.tree,
        changes=changes,
        cuts=tuple(diffs.cuts),
    )


def _source_diffs(inputs: Inputs) -> PatchSource:
    """Parse the source diffs among the inputs.

    :raises Refusal: ``data-not-changed`` where an option is about diffs and there are none
    """
    files = [
        diff.parse(str(given), read_bytes(given.path), given.strip)
        for given in inputs.of_formats(DIFFS)
    ]
    repository = inputs.git if inputs.choices.three_way else None
    source = PatchSource(tuple(files), inputs.choices.fuzz, repository)
    if not source.files:
        _refuse_without_diffs(inputs)
    return source


def _compile(inputs: Inputs, source: PatchSource, target: Target) -> _CompiledInputs:
    workspace, kernel = prepare(target), Kernel(target)
    with ThreadPoolExecutor(1) as pool:
        # Read the kernel while the compilers run; its refusals are raised where it is used.
        pool.submit(kernel.read)
        modules = _compile_modules(inputs, workspace)
        diffs = None
        if source.files:
            diffs = compile_diffs(source, workspace, kernel, inputs.choices.accepted)
        return _CompiledInputs(workspace, kernel, modules, diffs)


def _compile_modules(inputs: Inputs, workspace: Workspace) -> Modules | None:
    given = inputs.of_formats(MODULES)
    if not given:
        return None
    from suture.builder.together import compile_all

    return compile_all(given, workspace)


def _cut_out(inputs: Inputs, compiled: _CompiledInputs) -> _CutInputs:
    kernel, workspace = compiled.kernel, compiled.workspace
    cuts, left_out, found = _cut_kpatch_objects(inputs, kernel)
    authored, authors = _prepare_modules(compiled)
    found += tuple(chain.from_iterable(module.findings for module in authored))
    findings = judged(found, inputs.choices.acceptances)
    linked = {name for cut in cuts for name, _ in cut.functions}
    choices = replaced(inputs.choices, replace_threads=inputs.choices.replace_threads - linked)
    if compiled.diffs is None:
        refuse_unused((), choices.replace_threads)
        refuse_unused_acceptances(findings, choices.accepted)
        diffs = DiffParts(findings=findings).after(cuts, left_out)
        return _CutInputs(diffs, authored, authors)
    diffs = cut_source_diffs(compiled.diffs, kernel, workspace, choices, findings)
    adapted = compiled.diffs.touched.adapted
    return _CutInputs(diffs.after(cuts, left_out), authored, authors, adapted)


def _prepare_modules(
    compiled: _CompiledInputs,
) -> tuple[tuple[Authored, ...], tuple[Author, ...]]:
    """Prepare authors' modules for linking."""
    if compiled.modules is None:
        return (), ()
    from suture.builder.together import prepare_all

    return prepare_all(compiled.modules, compiled.kernel, compiled.workspace.tree)


def _assemble(inputs: Inputs, parts: _CutInputs) -> ModuleParts:
    replace = inputs.replace is not False
    patch, objects, calls = assemble(inputs.name, replace, parts.diffs.cuts, parts.authored)
    found = tuple(map(recorded, parts.diffs.findings))
    patch = replaced(patch, findings=found, fixes=inputs.fixes, update=inputs.update)
    wrappers: dict[str, str] = {}
    for module in parts.authored:
        wrappers |= module.wrappers
    states = _states(parts.authored, parts.variables)
    variables, authors = parts.variables, parts.authors
    stays = _reasons_to_stay(objects, variables)
    return ModuleParts(patch, objects, calls, variables, authors, wrappers, states, stays)


def _reasons_to_stay(
    objects: Mapping[str, ObjectFile], variables: Sequence[Variable]
) -> tuple[str, ...]:
    """Return the addresses in the live patch that the kernel may keep, as sentences."""
    tables = new_values(objects.values(), {one.contents: one.name for one in variables})
    code = [obj for name, obj in objects.items() if not name.startswith(DATA)]
    return tuple(str(escape) for escape in escapes(code, tables))


def _artifact(
    inputs: Inputs,
    target: Target,
    module: ObjectFile,
    made: LivePatch,
    parts: _CutInputs,
    wanted: ModuleParts,
) -> Artifact:
    cuts = parts.diffs.cuts
    return Artifact(
        name=inputs.name,
        data=writer.write(module),
        target=target,
        patch=made,
        provenance=Provenance.of(target, inputs.given),
        inputs=inputs.given,
        new=tuple((cut.source, function) for cut in cuts for function in cut.output.new),
        left_out=parts.diffs.left_out,
        callers=parts.diffs.callers,
        findings=parts.diffs.findings,
        data_changes=parts.variables,
        calls=tuple(wanted.calls),
        checked=tuple(function for module in parts.authored for function in module.checked),
        adapted=parts.adapted,
    )


def _refuse_data_without_replace(inputs: Inputs) -> None:
    """Refuse variables that change in memory in a live patch that stacks on others.

    :raises Refusal: ``data-needs-replace``
    """
    if inputs.choices.patch_data and inputs.replace is False:
        found = "the live patch is to stack on others (--no-replace)"
        raise Refusal(DATA_NEEDS_REPLACE, "--patch-data", found)


def _states(authored: Sequence[Authored], variables: Sequence[Variable]) -> str:
    """The global name of the live patch's only table of states; "" where no module has one.

    :raises Refusal: ``states-several``
    """
    stateful = [module for module in authored if module.states]
    if len(stateful) > 1 or (stateful and variables):
        others = [module.where for module in stateful[1:]]
        others = others or ["the variables that --patch-data changes"]
        found = f"has states, and so have {' and '.join(others)}"
        raise Refusal(STATES_SEVERAL, stateful[0].where, found)
    return stateful[0].states if stateful else ""


def _refuse_options(inputs: Inputs) -> None:
    """Refuse options that only apply to source diffs.

    :raises Refusal: ``module-stands-alone``
    """
    if given := _named(inputs.choices):
        raise Refusal(
            MODULE_STANDS_ALONE, ", ".join(given), f"{inputs.given[0].path} is a C module"
        )


def _named(choices: Choices) -> list[str]:
    """Return the options that name parts of source diffs, of those that are given."""
    options = {
        "--keep-data": choices.keep_data,
        "--patch-data": choices.patch_data,
        "--replace-thread": choices.replace_threads,
    }
    return [name for name, names in options.items() if names]


def _author_module(
    inputs: Inputs, target: Target, output: Path | None, directory: Path | None
) -> Artifact:
    """Build one author's module; its own tables say what it replaces."""
    (given,) = inputs.given

    def check(artifact: Artifact) -> None:
        """Refuse a module that is not what was asked for, before it is written."""
        if not artifact.is_live_patch:
            raise Refusal(NOT_A_LIVE_PATCH_SOURCE, str(given.path), "it replaces nothing")
        _refuse_unexpected(inputs, artifact.patch, target)

    from suture.builder.suse_fixes import build_fixes

    (built,) = build_fixes(
        given,
        target,
        output=output,
        directory=directory,
        name=inputs.name if inputs.is_named else None,
        several=False,
        fixes=inputs.fixes,
        check=check,
        accepted=inputs.choices.accepted,
    )
    return replaced(built, inputs=inputs.given, author_module=None)


def _refuse_without_diffs(inputs: Inputs) -> None:
    """Refuse names of variables where no input is a source diff.

    :raises Refusal: ``data-not-changed``
    """
    choices = inputs.choices
    for option, names in (("--patch-data", choices.patch_data), ("--keep-data", choices.keep_data)):
        for name in sorted(names):
            others = ", ".join(str(given.path) for given in inputs.given)
            raise Refusal(DATA_NOT_CHANGED, f"{option} {name}", f"no source diff is among {others}")


def _cut_kpatch_objects(
    inputs: Inputs, kernel: Kernel
) -> tuple[tuple[Cut, ...], tuple[LeftOut, ...], tuple[Finding, ...]]:
    """Cut the new code out of modules for kpatch's own core."""
    all_cuts: list[Cut] = []
    all_left_out: list[LeftOut] = []
    all_found: list[Finding] = []
    for given in inputs.of_formats(frozenset({Format.KPATCH_OBJECT})):
        from suture.builder.kpatch_objects import cut_kpatch_object

        data = read_bytes(given.path)
        cuts, left_out, found = cut_kpatch_object(data, str(given.path), kernel)
        all_cuts += cuts
        all_left_out += left_out
        all_found += found
    return tuple(all_cuts), tuple(all_left_out), tuple(all_found)


def _refuse_unexpected(inputs: Inputs, made: LivePatch, target: Target) -> None:
    """Refuse a module that replaces something else than the written live patch says.

    :raises Refusal: ``model-differs``
    """
    if not inputs.expected:
        return
    from suture.formats import written

    differences = written.differences(inputs.expected, made)
    if differences:
        found = f"on {target.release} it would not replace what is written down"
        raise Refusal(MODEL_DIFFERS, inputs.name, found, evidence=differences)
