# SPDX-License-Identifier: GPL-2.0-or-later
"""Kernel modules for a guest, laid out so that ``modprobe`` in the guest finds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from suture.kernel import modules
from suture.kernel.release import Target


def build(target: Target, names: Iterable[str]) -> dict[str, bytes]:
    """Return the files for `names` and all modules that they depend on or ask for, with
    ``modules.dep``: path in the guest -> content.

    The modules are stored unpacked.  Built-in ones need no file and are left out.

    :raises Refusal: ``module-not-found``, ``module-malformed``, ``file-unreadable``
    """
    shipped = modules.index(target)
    needs: dict[str, tuple[str, ...]] = {}
    todo = [modules.module_name(name) for name in names]
    while todo:
        module = todo.pop()
        if module in shipped and module not in needs:
            needs[module] = _before(target, module, shipped)
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


def _before(target: Target, module: str, shipped: Mapping[str, Path]) -> tuple[str, ...]:
    """Return the modules to load before a module, in a working order: all that it depends on, and
    all that those ask for."""
    found: dict[str, None] = {}
    for one in (*modules.dependencies(target, module, shipped), module):
        for softly_needed in modules.soft_dependencies(one, shipped):
            before = modules.dependencies(target, softly_needed, shipped)
            found |= dict.fromkeys((*before, softly_needed))
        if one != module:
            found[one] = None
    return tuple(found)


def missing(target: Target, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of the modules `names` that the target does not have, as a file or built in."""
    present = modules.index(target).keys() | modules.builtin(target)
    return tuple(name for name in names if name not in present)
