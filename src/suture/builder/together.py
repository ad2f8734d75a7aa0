# SPDX-License-Identifier: GPL-2.0-or-later
"""Authors' modules -> parts of a live patch with other inputs: compiled, checked, ready to link."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from suture.builder.author_tables import prepare_module
from suture.builder.cmodules import external
from suture.builder.module_context import ModuleContext
from suture.builder.part import Authored
from suture.errors import MODULES_SEVERAL, NOT_A_LIVE_PATCH_SOURCE, Refusal
from suture.formats import cmodule
from suture.formats.cmodule import CModule, Dialect
from suture.formats.recognise import Input
from suture.host.progress import step
from suture.kernel import config
from suture.link import author_modules
from suture.link.author_modules import Author
from suture.link.references import References, with_pending_names
from suture.verify.kernel import Kernel
from suture.workspace.external import CompiledModule, compile_modules
from suture.workspace.prepare import Workspace


@dataclasses.dataclass(frozen=True, slots=True)
class Modules:
    """Authors' modules, read and compiled."""

    sources: tuple[CModule, ...]
    compiled: tuple[CompiledModule, ...]


def compile_all(given: Sequence[Input], workspace: Workspace) -> Modules:
    """Compile the one module of each input.

    :raises Refusal: ``modules-several``, ``not-a-live-patch-source``, and what reading and
        compiling raise
    """
    if not given:
        return Modules((), ())
    options = config.read(workspace.target.config)
    sources = tuple(
        _only_module(cmodule.read(one.path, options, workspace.target.release, one.only), number)
        for number, one in enumerate(given)
    )
    with step("Compiling", ", ".join(module.where for module in sources)):
        return Modules(
            sources, compile_modules(workspace, [external(module) for module in sources])
        )


def _only_module(source: cmodule.ModuleSource, number: int) -> CModule:
    modules = [module for module in source.modules if module.dialect is not Dialect.PLAIN]
    if not modules:
        raise Refusal(NOT_A_LIVE_PATCH_SOURCE, source.where, source.modules[0].because)
    if len(modules) > 1:
        raise Refusal(MODULES_SEVERAL, source.where, f"it lists {len(modules)}")
    return modules[0].renamed(f"{modules[0].name}_{number}")


def prepare_all(
    modules: Modules, kernel: Kernel, tree: Path
) -> tuple[tuple[Authored, ...], tuple[Author, ...]]:
    """Prepare modules to be linked into one.

    :return: the modules in their order, and the names of their init and exit functions.
    :raises Refusal: what `prepare_module` and resolving references raise
    """
    context = ModuleContext(kernel, tree, modules.sources, modules.compiled)
    prepared: list[Authored] = []
    authors: list[Author] = []
    pairs = zip(modules.sources, modules.compiled, strict=True)
    for number, (module, compiled) in enumerate(pairs):
        first = sum(before.entries for before in prepared)
        authored = prepare_module(context, module, compiled, first)
        objects, author = author_modules.with_own_init_names(authored.objects, number)
        patched = [obj.name for obj in authored.patch.objects]
        references = References(
            kernel.symvers, context.shipped, patched, module.line_of, context.has_module
        )
        elsewhere = author_modules.defined_by(objects)
        resolved = {
            part: with_pending_names(obj, references, elsewhere) for part, obj in objects.items()
        }
        prepared.append(dataclasses.replace(authored, objects=resolved))
        authors.append(author)
    return tuple(prepared), tuple(authors)
