# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel modules that a guest is given, laid out so that ``modprobe`` in the guest finds
them."""

from __future__ import annotations

from collections.abc import Iterable

from suture.kernel import modules
from suture.kernel.release import Target


def build(target: Target, names: Iterable[str]) -> dict[str, bytes]:
    """Path in the guest to content for the modules `names`, all they depend on or ask for, and
    ``modules.dep``.

    The module files are stored unpacked.  What is built into the kernel needs no file and is left
    out.

    :raises Refusal: ``module-not-found``, ``module-malformed``, ``file-unreadable``
    """
    shipped = modules.index(target)
    needs: dict[str, tuple[str, ...]] = {}
    todo = [modules.module_name(name) for name in names]
    while todo:
        module = todo.pop()
        if module in shipped and module not in needs:
            needs[module] = _before(target, module)
            todo += needs[module]
        elif module not in shipped:
            modules.dependencies(target, module)  # refuses what is not built in either
    root = f"/lib/modules/{target.release}"
    # modules.dep(5): nearest first; modprobe loads them from the last on.
    lines = [
        f"{module}.ko: {' '.join(f'{need}.ko' for need in reversed(needs[module]))}\n"
        for module in needs
    ]
    tree = {f"{root}/{module}.ko": modules.read(shipped[module]) for module in needs}
    return {f"{root}/modules.dep": "".join(lines).encode(), **tree} if tree else {}


def _before(target: Target, module: str) -> tuple[str, ...]:
    """What has to be loaded before a module, in an order that works: all it depends on, and what
    those ask for."""
    found: dict[str, None] = {}
    for one in (*modules.dependencies(target, module), module):
        for softly_needed in modules.soft_dependencies(target, one):
            found |= dict.fromkeys((*modules.dependencies(target, softly_needed), softly_needed))
        if one != module:
            found[one] = None
    return tuple(found)


def has_all(target: Target, names: Iterable[str]) -> bool:
    """Whether the target has each of the modules `names`, as a file or built in."""
    return set(names) <= modules.index(target).keys() | modules.builtin(target)
