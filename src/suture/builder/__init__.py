# SPDX-License-Identifier: GPL-2.0-or-later
"""Patch source -> live patch module.

1. The patch is read, and the files that it touches are compiled before and after it
   (`suture.workspace`).
2. Each pair of objects is compared, and what changed is cut out (`suture.diff`).
3. Every function that is to be replaced is proved to be the one in the shipped kernel
   (`suture.verify`).
4. What was cut out is linked into a module for that kernel (`suture.link`), which is written when
   all is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import replace as replaced
from pathlib import Path

from suture.builder import together
from suture.builder.assemble import assemble
from suture.builder.cmodules import build_modules
from suture.builder.cutting import cut_out_all
from suture.builder.differences import compare_pairs, left_out_of, nothing_left
from suture.builder.inputs import NO_CHOICES, Choices, Inputs, gathered
from suture.builder.kpatch_objects import cut_kpatch_object
from suture.builder.part import Authored, Cut
from suture.builder.planning import plan_patch
from suture.diff.data import DataRequest
from suture.diff.omitted import LeftOut
from suture.elf import writer
from suture.errors import (
    DATA_NEEDS_REPLACE,
    DATA_NOT_CHANGED,
    MODEL_DIFFERS,
    MODULE_STANDS_ALONE,
    NO_LIVEPATCH,
    NOT_A_LIVE_PATCH_SOURCE,
    STATES_SEVERAL,
    Refusal,
)
from suture.formats import diff, written
from suture.formats.recognise import DIFFS, MODULES, Format, Input
from suture.host.files import check_output, read_bytes, write_atomic
from suture.host.progress import note, step
from suture.kernel import config
from suture.kernel.release import Target
from suture.link import glue, kbuild, klp, shadows, stack_visibility
from suture.link.callbacks import Hooked, with_callbacks
from suture.link.glue import Variable
from suture.model import LivePatch
from suture.module import modinfo
from suture.module.inspect import inspect
from suture.verify.kernel import Kernel
from suture.verify.plan import CallerReplacement
from suture.verify.replaced import Checked
from suture.verify.threads import refuse_unused
from suture.workspace.compile import ObjectPair, object_pairs
from suture.workspace.prepare import Workspace, prepare


@dataclass(frozen=True, slots=True)
class Built:
    """A finished live patch module.

    :ivar new: functions that the patch adds: (source file, name).
    :ivar callers: functions that are replaced because they call one that cannot be.
    :ivar left_out: what of the patch it does without.
    :ivar data: variables that change in memory while it is in force.
    :ivar calls: functions that the patch wants to be called.
    :ivar inputs: what it was made from.
    :ivar checked: the functions that a C module replaces, which cannot be proved: what was found
        out about each.
    """

    path: Path
    target: Target
    patch: LivePatch
    new: tuple[tuple[str, str], ...]
    left_out: tuple[LeftOut, ...] = ()
    callers: tuple[CallerReplacement, ...] = ()
    data: tuple[Variable, ...] = ()
    calls: tuple[Hooked, ...] = ()
    inputs: tuple[Input, ...] = ()
    checked: tuple[Checked, ...] = ()


def build(
    patches: Sequence[Path],
    target: Target,
    *,
    output: Path | None = None,
    directory: Path = Path(),
    name: str | None = None,
    replace: bool | None = None,
    format: Format | None = None,
    strip: int | None = None,
    choices: Choices = NO_CHOICES,
) -> Built:
    """Build one live patch module from one or more inputs.

    :param output: where to write it; ``<name>.ko`` in `directory` by default.
    :param name: the module's name; by default as a written live patch says, else ``livepatch_`` and
        the first input's name.
    :param replace: the live patch replaces all that are loaded before it (``klp_patch.replace``);
        None for what a written live patch says, else true.
    :param format: what the inputs are; None to find out.
    :param strip: leading path components to drop from file names in the patch, as ``patch -p``.
    :param choices: what else is decided; that of written live patches comes to it.
    :raises Refusal: many; each says what and why
    """
    with gathered(
        patches, format=format, strip=strip, name=name, replace=replace, choices=choices
    ) as inputs:
        if inputs.of(MODULES) and not inputs.of(DIFFS):
            _refuse_options(inputs)
        if inputs.is_one_module and inputs.replace is None:
            return _module(inputs, target, output, directory)
        return _build(inputs, target, output or directory / f"{inputs.name}.ko")


def _build(inputs: Inputs, target: Target, path: Path) -> Built:
    choices, replace = inputs.choices, inputs.replace is not False
    if choices.patch_data and not replace:
        raise Refusal(
            DATA_NEEDS_REPLACE,
            "--patch-data",
            "the live patch is to stack on others (--no-replace)",
        )
    check_output(path)
    source = diff.PatchSource(
        tuple(
            diff.parse(str(one.path), read_bytes(one.path), one.strip) for one in inputs.of(DIFFS)
        )
    )
    if not source.files:
        _refuse_without_diffs(inputs)
    if not config.read(target.config).enabled("LIVEPATCH"):
        raise Refusal(NO_LIVEPATCH, target.release, "CONFIG_LIVEPATCH is not set")
    workspace = prepare(target)
    kernel = Kernel(target)
    with ThreadPoolExecutor(1) as pool:
        # While the compilers run; what is wrong with the kernel shows when it is used.
        pool.submit(kernel.read)
        modules = together.compile_all(inputs.of(MODULES), workspace)
        pairs = object_pairs(workspace, source) if source.files else ()
    cuts, left_out = _of_kpatch_objects(inputs, kernel)
    linked = {name for cut in cuts for name, _ in cut.functions}
    threads = choices.replace_threads - linked
    callers: tuple[CallerReplacement, ...] = ()
    if source.files:
        with step("Comparing", f"{len(pairs)} object{'s' if len(pairs) != 1 else ''}"):
            changed, left, callers = _of_diffs(pairs, kernel, workspace, choices, threads)
        cuts, left_out = (*cuts, *changed), (*left_out, *left)
    else:
        refuse_unused((), threads)
    authored, authors = together.take_apart(modules, kernel, workspace.tree)
    with step("Linking", f"{inputs.name}.ko"):
        patch, objects, hooked = assemble(inputs.name, replace, cuts, authored)
        variables = tuple(variable for cut in cuts for variable in cut.data)
        patch = with_callbacks(patch, hooked, {variable.objname for variable in variables})
        wrappers = {name: text for one in authored for name, text in one.wrappers.items()}
        registration = glue.Several(authors, wrappers) if authored else None
        states = _states(authored, variables)
        tables = glue.source(patch, target.release, variables, hooked, registration, states)
        module = kbuild.link(workspace, inputs.name, tables, stack_visibility.apart(objects))
        klp.refuse_unresolved(module, frozenset(kernel.symvers.exports))
        described = replaced(patch, shadow_variables=shadows.used_by(module))
        finished = modinfo.with_entries(
            klp.finish(stack_visibility.cover(module, patch)), described
        )
        made = inspect(finished).patch
        _refuse_unexpected(inputs, made, target)
        write_atomic(path, writer.write(finished))
    new = tuple((cut.source, function) for cut in cuts for function in cut.output.new)
    checked = tuple(function for one in authored for function in one.checked)
    return Built(
        path, target, made, new, left_out, callers, variables, hooked, inputs.given, checked
    )


def _of_diffs(
    pairs: Sequence[ObjectPair],
    kernel: Kernel,
    workspace: Workspace,
    choices: Choices,
    replace_threads: frozenset[str],
) -> tuple[list[Cut], tuple[LeftOut, ...], tuple[CallerReplacement, ...]]:
    """What source diffs contribute: what differs, the plan, and what is cut out by it."""
    request = DataRequest(choices.patch_data, choices.keep_data)
    files = compare_pairs(pairs, kernel, request)
    changes = pairs[0].changes
    plan = plan_patch(files, changes, kernel, workspace, choices.bounds, replace_threads)
    for text in plan.notes:
        note(text)
    cuts = cut_out_all(plan, pairs, kernel, workspace)
    if not any(cut.functions or cut.data or cut.output.calls for cut in cuts):
        raise nothing_left(files, [pair.source for pair in pairs])
    left = left_out_of(files)
    for part in left:
        note(str(part))
    return cuts, left, plan.callers


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


def _module(inputs: Inputs, target: Target, output: Path | None, directory: Path) -> Built:
    """One author's module, which says itself what it is."""
    name = inputs.name if inputs.is_named else None
    (built,) = build_modules(
        inputs.given[0], target, output=output, directory=directory, name=name, several=False
    )
    if built.patch is None:
        raise Refusal(NOT_A_LIVE_PATCH_SOURCE, str(inputs.given[0].path), "it replaces nothing")
    _refuse_unexpected(inputs, built.patch, target)
    return Built(built.path, target, built.patch, (), inputs=inputs.given, checked=built.checked)


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
