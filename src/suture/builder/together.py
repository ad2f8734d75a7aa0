# SPDX-License-Identifier: GPL-2.0-or-later
"""Authors' modules on their way into one live patch with others: compiled, checked, and made ready
to be linked."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from suture.builder.author_tables import taken_apart
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
from suture.link.references import References, pending
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
        _only(cmodule.read(one.path, options, workspace.target.release), number)
        for number, one in enumerate(given)
    )
    with step("Compiling", ", ".join(module.where for module in sources)):
        return Modules(
            sources, compile_modules(workspace, [external(module) for module in sources])
        )


def _only(source: cmodule.ModuleSource, number: int) -> CModule:
    modules = [module for module in source.modules if module.dialect is not Dialect.PLAIN]
    if not modules:
        raise Refusal(NOT_A_LIVE_PATCH_SOURCE, source.where, source.modules[0].because)
    if len(modules) > 1:
        raise Refusal(MODULES_SEVERAL, source.where, f"it lists {len(modules)}")
    return modules[0].renamed(f"{modules[0].name}_{number}")


def take_apart(
    modules: Modules, kernel: Kernel, tree: Path
) -> tuple[tuple[Authored, ...], tuple[Author, ...]]:
    """The modules ready to be linked into one, in their order, and whose init and exit functions
    are called what."""
    context = ModuleContext(kernel, tree, modules.sources, modules.compiled)
    taken: list[Authored] = []
    authors: list[Author] = []
    for number, (module, compiled) in enumerate(
        zip(modules.sources, modules.compiled, strict=True)
    ):
        apart = taken_apart(context, module, compiled, sum(one.entries for one in taken))
        objects, author = author_modules.told_apart(apart.objects, number)
        patched = [item.name for item in apart.patch.objects]
        references = References(kernel.symvers, context.shipped, patched, module.line_of)
        elsewhere = author_modules.defined_by(objects)
        resolved = {part: pending(obj, references, elsewhere) for part, obj in objects.items()}
        taken.append(dataclasses.replace(apart, objects=resolved))
        authors.append(author)
    return tuple(taken), tuple(authors)
