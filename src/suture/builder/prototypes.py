# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that change with their prototype: who goes on calling them in the old way, judged.

`suture.verify.old_callers` decides; the files of callers are compiled here, and the declarations in
each are read.  What nobody can search comes first: that needs no compiler.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import chain

from suture.builder.findings import judged
from suture.builder.planning import CompiledOnDemand, surroundings
from suture.elf.prototypes import Prototype
from suture.errors import Acceptance, Finding
from suture.verify.kept_callers import other_clones
from suture.verify.kernel import Kernel
from suture.verify.old_callers import (
    ChangedPrototype,
    callers_of,
    changed_prototypes,
    functions_to_declare,
    old_callers,
    unknown_callers,
)
from suture.verify.plan import ComparedFile
from suture.workspace.applying import Changed
from suture.workspace.compile import ObjectPair
from suture.workspace.declarations import compile_ahead, declared, may_change_prototypes
from suture.workspace.prepare import Workspace


def judge_prototypes(
    files: Sequence[ComparedFile],
    pairs: Sequence[ObjectPair],
    changes: Sequence[Changed],
    kernel: Kernel,
    workspace: Workspace,
    compiled: CompiledOnDemand,
    accepted: Sequence[Acceptance],
) -> tuple[Finding, ...]:
    """Judge the changed functions that old code would call in the old way.

    :param pairs: the objects that the files were compared by.
    :param changes: the source files as the patch leaves them.
    :raises Refusal: ``exported-prototype-changed``, ``kfunc-prototype-changed``,
        ``function-renamed``, ``prototype-changed``, and what a proof raises
    """
    clones = chain.from_iterable(map(other_clones, files))
    outer = {one.path for one in changes if may_change_prototypes([one])}
    reading = {pair.source for pair in pairs if not outer.isdisjoint(pair.compilation.reads)}
    looked_at = [file for file in files if file.source in reading]
    changed = list(_all_changed(looked_at, changes, workspace))
    unknown = chain.from_iterable(_unknown_callers(one, kernel) for one in changed)
    first = judged(chain(clones, unknown), accepted)

    def patched(source: str, names: Collection[str]) -> dict[str, Prototype]:
        """Return the prototypes that a file declares with the patch."""
        return declared(workspace, source, names, changes)

    def known_callers() -> Iterator[Finding]:
        """Find the callers in the kernel that call one of the functions in the old way."""
        for one in changed:
            around = surroundings(kernel)
            callers = compiled.answering(partial(callers_of, one, files, around))
            if found := old_callers(one, callers, patched):
                yield found

    return first + judged(known_callers(), accepted)


def _all_changed(
    files: Sequence[ComparedFile], changes: Sequence[Changed], workspace: Workspace
) -> Iterator[ChangedPrototype]:
    """Yield the functions whose prototypes change.

    :param files: those that read what changes outside the bodies of functions.
    """
    named = [(file, names) for file in files if (names := functions_to_declare(file))]
    if named:
        compile_ahead(workspace, [file.source for file, _ in named], changes)
    for file, names in named:
        old = declared(workspace, file.source, names, ())
        yield from changed_prototypes(file, old, declared(workspace, file.source, names, changes))


def _unknown_callers(changed: ChangedPrototype, kernel: Kernel) -> Iterator[Finding]:
    objname = changed.file.objname

    def is_kfunc(name: str) -> bool:
        """Tell whether BPF programs call a function of the object."""
        return name in kernel.kfuncs(objname)

    return unknown_callers(changed, kernel.symvers.__contains__, is_kfunc)
