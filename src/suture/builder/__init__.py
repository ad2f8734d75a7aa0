# SPDX-License-Identifier: GPL-2.0-or-later
"""Inputs and a target -> a live patch module.

1. The inputs are recognised, read, and gathered (`inputs`).
2. The files that they touch are compiled: those of source diffs before and after, authors' modules
   as they are (`suture.workspace`).
3. Source diffs: what differs, what follows for the plan, proof, and cutting out (`source_diffs`).
   Modules for kpatch's own core are cut out of what they hold (`kpatch_objects`), and authors'
   modules taken apart (`together`).
4. The parts become one model of the live patch and the objects to link (`assemble`).
5. The module is made for the target's core (`suture.link.core_module`), read back, and compared
   with what a written live patch expects.
6. The artifact is written when everything else is done.

A single author's module goes a way of its own: it registers itself (`cmodules`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path

from suture.builder import together
from suture.builder.artifact import Artifact, Provenance
from suture.builder.assemble import assemble
from suture.builder.cmodules import build_modules
from suture.builder.inputs import NO_CHOICES, Choices, Inputs, gathered
from suture.builder.kpatch_objects import cut_kpatch_object
from suture.builder.part import Authored, Cut
from suture.builder.source_diffs import DiffParts, cut_source_diffs
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
    Refusal,
)
from suture.formats import diff, written
from suture.formats.diff import PatchSource
from suture.formats.recognise import DIFFS, MODULES, Format, recognise
from suture.host.files import check_output, read_bytes
from suture.host.progress import step
from suture.kernel.release import Target
from suture.link.author_modules import Author
from suture.link.core_module import CoreModule, ModuleParts
from suture.link.glue import Variable
from suture.link.livepatch_module import LivepatchModule
from suture.model import LivePatch
from suture.module.inspect import inspect
from suture.verify.kernel import Kernel
from suture.verify.threads import refuse_unused
from suture.workspace.compile import ObjectPair, object_pairs
from suture.workspace.prepare import Workspace, prepare

LIVEPATCH: CoreModule = LivepatchModule()


def build(
    patches: Sequence[Path | str],
    target: Target,
    *,
    output: Path | str | None = None,
    directory: Path | str | None = None,
    name: str | None = None,
    replace: bool | None = None,
    format: Format | None = None,
    strip: int | None = None,
    choices: Choices = NO_CHOICES,
) -> Artifact:
    """Build one live patch module from one or more inputs.

    :param output: the file to write it to; with neither this nor `directory` nothing is written.
    :param directory: where to write it as ``<name>.ko``.
    :param name: the module's name; by default as a written live patch says, else ``livepatch_`` and
        the first input's name.
    :param replace: the live patch replaces all that are loaded before it (``klp_patch.replace``);
        None for what a written live patch says, else true.
    :param format: what the inputs are; None to find out.
    :param strip: leading path components to drop from file names in the patch, as ``patch -p``.
    :param choices: further decisions; those of written live patches are added.
    :raises Refusal: many; each says what and why
    """
    paths = [Path(one) for one in patches]
    output, directory = _path(output), _path(directory)
    with gathered(
        paths, format=format, strip=strip, name=name, replace=replace, choices=choices
    ) as inputs:
        if inputs.of(MODULES) and not inputs.of(DIFFS):
            _refuse_options(inputs)
        if inputs.is_one_module and inputs.replace is None:
            return _author_module(inputs, target, output, directory)
        path = output or (directory / f"{inputs.name}.ko" if directory is not None else None)
        return _build(inputs, target, path)


def build_all(
    patches: Sequence[Path | str],
    target: Target,
    *,
    output: Path | str | None = None,
    directory: Path | str | None = None,
    name: str | None = None,
    replace: bool | None = None,
    format: Format | None = None,
    strip: int | None = None,
    choices: Choices = NO_CHOICES,
) -> tuple[Artifact, ...]:
    """Build as `build`, and of a directory whose Makefile lists several modules all of them.

    :param output: the file to write one module to; a directory for several.
    :raises Refusal: many; each says what and why
    """
    first = Path(patches[0])
    output, directory = _path(output), _path(directory)
    if (
        len(patches) == 1
        and first.is_dir()
        and replace is None
        and not (choices.patch_data or choices.keep_data or choices.replace_threads)
    ):
        given = recognise(first, format, strip)
        if given.format in MODULES:
            return build_modules(given, target, output=output, directory=directory, name=name)
    artifact = build(
        patches,
        target,
        output=output,
        directory=directory,
        name=name,
        replace=replace,
        format=format,
        strip=strip,
        choices=choices,
    )
    return (artifact,)


def _path(given: Path | str | None) -> Path | None:
    return None if given is None else Path(given)


@dataclass(frozen=True, slots=True)
class _CompiledInputs:
    """What the compilers made of the inputs.

    :ivar pairs: the objects of source diffs, before and after.
    :ivar modules: authors' modules.
    """

    workspace: Workspace
    kernel: Kernel
    pairs: Sequence[ObjectPair]
    modules: together.Modules


@dataclass(frozen=True, slots=True)
class _CutInputs:
    """Everything that goes into the live patch, still apart."""

    diffs: DiffParts
    authored: Sequence[Authored]
    authors: Sequence[Author]

    @property
    def variables(self) -> tuple[Variable, ...]:
        return tuple(variable for cut in self.diffs.cuts for variable in cut.data)


def _build(inputs: Inputs, target: Target, path: Path | None) -> Artifact:
    _refuse_data_without_replace(inputs)
    if path is not None:
        check_output(path)
    source = _source_diffs(inputs)
    LIVEPATCH.refuse_unsupported(target)
    compiled = _compile(inputs, source, target)
    parts = _cut_out(inputs, compiled)
    with step("Linking", f"{inputs.name}.ko"):
        wanted = _assemble(inputs, parts)
        module = LIVEPATCH.make(wanted, compiled.kernel, compiled.workspace)
        made = inspect(module).patch
        _refuse_unexpected(inputs, made, target)
        artifact = _artifact(inputs, target, module, made, parts, wanted)
        return artifact.written(path)


def _source_diffs(inputs: Inputs) -> PatchSource:
    """Parse the source diffs among the inputs.

    :raises Refusal: ``data-not-changed`` where an option is about diffs and there are none
    """
    files = [diff.parse(str(one.path), read_bytes(one.path), one.strip) for one in inputs.of(DIFFS)]
    source = PatchSource(tuple(files))
    if not source.files:
        _refuse_without_diffs(inputs)
    return source


def _compile(inputs: Inputs, source: PatchSource, target: Target) -> _CompiledInputs:
    workspace, kernel = prepare(target), Kernel(target)
    with ThreadPoolExecutor(1) as pool:
        # While the compilers run; what is wrong with the kernel shows when it is used.
        pool.submit(kernel.read)
        modules = together.compile_all(inputs.of(MODULES), workspace)
        pairs = object_pairs(workspace, source) if source.files else ()
    return _CompiledInputs(workspace, kernel, pairs, modules)


def _cut_out(inputs: Inputs, compiled: _CompiledInputs) -> _CutInputs:
    kernel, workspace = compiled.kernel, compiled.workspace
    cuts, left_out = _of_kpatch_objects(inputs, kernel)
    linked = {name for cut in cuts for name, _ in cut.functions}
    choices = replaced(inputs.choices, replace_threads=inputs.choices.replace_threads - linked)
    if compiled.pairs:
        diffs = cut_source_diffs(compiled.pairs, kernel, workspace, choices)
    else:
        refuse_unused((), choices.replace_threads)
        diffs = DiffParts()
    authored, authors = together.take_apart(compiled.modules, kernel, workspace.tree)
    return _CutInputs(diffs.after(cuts, left_out), authored, authors)


def _assemble(inputs: Inputs, parts: _CutInputs) -> ModuleParts:
    replace = inputs.replace is not False
    patch, objects, calls = assemble(inputs.name, replace, parts.diffs.cuts, parts.authored)
    wrappers: dict[str, str] = {}
    for one in parts.authored:
        wrappers |= one.wrappers
    states = _states(parts.authored, parts.variables)
    return ModuleParts(patch, objects, calls, parts.variables, parts.authors, wrappers, states)


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
        data_changes=parts.variables,
        calls=tuple(wanted.calls),
        checked=tuple(function for one in parts.authored for function in one.checked),
    )


def _refuse_data_without_replace(inputs: Inputs) -> None:
    """Refuse variables that change in memory in a live patch that stacks on others.

    :raises Refusal: ``data-needs-replace``
    """
    if inputs.choices.patch_data and inputs.replace is False:
        found = "the live patch is to stack on others (--no-replace)"
        raise Refusal(DATA_NEEDS_REPLACE, "--patch-data", found)


def _states(authored: Sequence[Authored], variables: Sequence[Variable]) -> str:
    """The one table of states, by its global name; "" where no author has one.

    :raises Refusal: ``states-several``
    """
    having = [one for one in authored if one.states]
    if len(having) > 1 or (having and variables):
        others = [one.where for one in having[1:]] or ["the variables that --patch-data changes"]
        raise Refusal(
            STATES_SEVERAL, having[0].where, f"has states, and so have {' and '.join(others)}"
        )
    return having[0].states if having else ""


def _refuse_options(inputs: Inputs) -> None:
    """What a C module has no use for.

    :raises Refusal: ``module-stands-alone``
    """
    choices = inputs.choices
    options = {
        "--keep-data": choices.keep_data,
        "--patch-data": choices.patch_data,
        "--replace-thread": choices.replace_threads,
    }
    if given := [name for name, names in options.items() if names]:
        raise Refusal(
            MODULE_STANDS_ALONE, ", ".join(given), f"{inputs.given[0].path} is a C module"
        )


def _author_module(
    inputs: Inputs, target: Target, output: Path | None, directory: Path | None
) -> Artifact:
    """Build one author's module, which says itself what it replaces."""
    (given,) = inputs.given

    def accept(artifact: Artifact) -> None:
        if not artifact.is_live_patch:
            raise Refusal(NOT_A_LIVE_PATCH_SOURCE, str(given.path), "it replaces nothing")
        _refuse_unexpected(inputs, artifact.patch, target)

    (built,) = build_modules(
        given,
        target,
        output=output,
        directory=directory,
        name=inputs.name if inputs.is_named else None,
        several=False,
        accept=accept,
    )
    return replaced(built, inputs=inputs.given, author_module=None)


def _refuse_without_diffs(inputs: Inputs) -> None:
    """:raises Refusal: ``data-not-changed``"""
    choices = inputs.choices
    for option, names in (("--patch-data", choices.patch_data), ("--keep-data", choices.keep_data)):
        for name in sorted(names):
            others = ", ".join(str(one.path) for one in inputs.given)
            raise Refusal(DATA_NOT_CHANGED, f"{option} {name}", f"no source diff is among {others}")


def _of_kpatch_objects(
    inputs: Inputs, kernel: Kernel
) -> tuple[tuple[Cut, ...], tuple[LeftOut, ...]]:
    """What modules for kpatch's own core contribute."""
    made = [
        cut_kpatch_object(
            read_bytes(one.path), str(one.path), kernel, inputs.choices.replace_threads
        )
        for one in inputs.of(frozenset({Format.KPATCH_OBJECT}))
    ]
    return tuple(cut for cuts, _ in made for cut in cuts), tuple(
        part for _, left in made for part in left
    )


def _refuse_unexpected(inputs: Inputs, made: LivePatch, target: Target) -> None:
    """:raises Refusal: ``model-differs``"""
    if not inputs.expected:
        return
    differences = written.differences(inputs.expected, made)
    if differences:
        found = f"on {target.release} it would not replace what is written down"
        raise Refusal(MODEL_DIFFERS, inputs.name, found, evidence=differences)
