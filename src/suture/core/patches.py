# SPDX-License-Identifier: GPL-2.0-or-later
"""Live patches in the running kernel, and the protocol of the core that moves them.

To add another core, such as an own one for kernels without ``CONFIG_LIVEPATCH``:

1. Write a class with the methods of `Core` in a file of this room, as `suture.core.livepatch` does
   for the kernel's own, and list it in `suture.core.cores`.
2. Write the other half in `suture.link`: how an output object becomes a module that this core takes
   (`suture.link.core_module`).
3. Give the lab's guest the same core: `suture.lab.livepatch` speaks to the kernel by shell
   commands.
4. If the core can redirect functions without a fentry call, `suture.verify.callers` need not look
   for their callers: `suture.diff.users.is_hookable` decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """A replaced function.

    :ivar sympos: its position as the core found it, so 1 where the patch said 0.
    """

    name: str
    sympos: int


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """The functions that one patch replaces in ``vmlinux`` or a module.

    :ivar patched: whether they are redirected; None where the kernel does not say.
    """

    name: str
    patched: bool | None
    functions: tuple[LoadedFunction, ...]


@dataclass(frozen=True, slots=True)
class LoadedPatch:
    """A live patch that the core knows.

    :ivar enabled: whether tasks run its code, or are moving there; with `transition`, where they
        are moving to.
    :ivar transition: tasks are moving still.
    :ivar replace: whether it took the place of all before it; None where the kernel does not say.
    :ivar stack_order: from 1 for the first that was enabled; None where the kernel does not say.
    """

    name: str
    enabled: bool
    transition: bool
    replace: bool | None
    stack_order: int | None
    objects: tuple[LoadedObject, ...]

    @property
    def functions(self) -> frozenset[tuple[str, str]]:
        """The functions that it replaces: (object, function)."""
        names: set[tuple[str, str]] = set()
        for item in self.objects:
            names.update((item.name, function.name) for function in item.functions)
        return frozenset(names)


class Core(Protocol):
    """What moves a running kernel from old code to new, as one host has it."""

    @property
    def is_available(self) -> bool:
        """Whether the running kernel has this core."""

    def patches(self) -> tuple[LoadedPatch, ...]:
        """All live patches, first enabled first."""

    def read(self, name: str) -> LoadedPatch | None:
        """One live patch; None where the core has none of that name."""

    def flags(self, name: str) -> tuple[bool, bool] | None:
        """`enabled` and `transition` of a live patch; None where the core has none of that name."""

    def in_transition(self) -> LoadedPatch | None:
        """The live patch that tasks are moving to or from."""

    def has(self, name: str) -> bool:
        """Whether the core still holds on to a live patch, in whatever state."""

    def set_enabled(self, name: str, enabled: bool) -> None:
        """Begin to take a live patch out of force, or reverse its transition.

        :raises OSError: the patch is gone, or is in that state already
        """

    def force(self, name: str) -> None:
        """Declare a transition over for all tasks.

        :raises OSError: the patch is not in transition
        """

    def signal(self, name: str) -> bool:
        """Wake the tasks that a transition waits for; False where the core does so by itself."""

    def task_states(self) -> Iterator[tuple[Path, str]]:
        """Yield each task's directory in ``/proc`` and its patch state.

        The state is "0" for old code, "1" for new, "-1" without a transition, and
        `suture.core.tasks.UNREADABLE` for a task of another user.
        """
