# SPDX-License-Identifier: GPL-2.0-or-later
"""In which section of the live patch module a new function or variable goes, and which cannot go
along at all.

The kernel's linker script gives some sections a meaning by where it puts them
(include/asm-generic/vmlinux.lds.h, arch/x86/kernel/vmlinux.lds.S).  The module loader gives others
one by their name (kernel/module/main.c).  `PLACES` says what becomes of each where the two differ;
every other section keeps its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from suture.diff.comparison import is_once_only
from suture.diff.sections import row
from suture.errors import INIT_REFERENCED, SECTION_CHANGED, Kind, Refusal
from suture.objects.locals import DATA
from suture.objects.view import Unit, View


@dataclass(frozen=True, slots=True)
class PlacementRule:
    """:ivar prefix: which sections; the longest prefix that fits counts.
    :ivar name: the section in the module, "" for one of the unit's own name.
    :ivar why: why nothing new in it can be in a module; "" where it can.
    """

    prefix: str
    name: str = ""
    why: str = ""


PERCPU = ".data..percpu"
"""The loader leaves its relocations alone (kernel/module/main.c: apply_relocations())."""

PLACES: tuple[PlacementRule, ...] = (
    # --- variables
    # The loader allocates per-CPU memory for the section of this very name and no other.  What is
    # in ..read_mostly, ..shared_aligned or ..page_aligned in the core kernel
    # (include/linux/percpu-defs.h) would be plain memory there, and %gs would lead elsewhere.
    PlacementRule(PERCPU, name=PERCPU),
    PlacementRule(
        ".data..percpu..decrypted",
        why="is shared with the hypervisor, which the kernel arranges for at boot",
    ),
    PlacementRule(
        ".data..decrypted",
        why="is shared with the hypervisor, which the kernel arranges for at boot",
    ),
    PlacementRule(
        ".bss..decrypted",
        why="is shared with the hypervisor, which the kernel arranges for at boot",
    ),
    # A module's is made read-only after its init function, which is before a callback for a module
    # that is loaded later could set it; so it is a variable like others (kernel/module/main.c:
    # module_mark_ro_after_init()).
    PlacementRule(".data..ro_after_init", name=".data"),
    PlacementRule(".bss..brk", why="is memory that the kernel hands out while it boots"),
    PlacementRule(
        ".data..nosave", why="keeps its value over hibernation by where it is in the kernel's image"
    ),
    PlacementRule(".data..init_task", why="is the first task's own"),
    PlacementRule(".vvar", why="is mapped into every process by where it is in the kernel's image"),
    # --- code
    # kprobes keeps off these in a module by their names (kernel/kprobes.c:
    # kprobes_module_callback())
    PlacementRule(".noinstr.text", name=".noinstr.text"),
    PlacementRule(".kprobes.text", name=".kprobes.text"),
    PlacementRule(
        ".entry.text",
        why="runs on user page tables too, which map it by where it is in the kernel's image",
    ),
    PlacementRule(
        ".head.text", why="runs while the kernel boots, before it is at its own addresses"
    ),
    PlacementRule(
        ".static_call.text", why="is the trampoline of a static call, which the kernel rewrites"
    ),
    # Only in which line of a stack trace or of /proc/PID/wchan a sleeping or interrupted task is
    # shown depends on being in one of these: in_sched_functions(), in_lock_functions(),
    # in_softirqentry_text(), cpu_in_idle().
    PlacementRule(".sched.text"),
    PlacementRule(".spinlock.text"),
    PlacementRule(".softirqentry.text"),
    PlacementRule(".irqentry.text"),
    PlacementRule(".cpuidle.text"),
    PlacementRule(".ref.text"),
    PlacementRule(".meminit.text"),
)


def output_section(view: View, unit: Unit, room: int = 0) -> str:
    """The section of the module for a unit that is copied.

    :param room: bytes before the unit that go along (`suture.diff.padding`).

    :raises Refusal: ``init-referenced``, ``section-changed``, ``tracepoint-changed``
    """
    section = view.section(unit)
    where = f"{view.obj.name}: {unit.name}"
    if is_once_only(section):
        raise Refusal(INIT_REFERENCED, where, f"is in {section.name}")
    place = _place(section.name)
    if place is not None and place.why:
        raise Refusal(SECTION_CHANGED, where, f"is in {section.name}, which {place.why}")
    if not unit.is_function and not (view.is_private(unit) or section.name.startswith(DATA)):
        known = row(section.name, view.obj.arch)
        kind = known.new if known and isinstance(known.new, Kind) else SECTION_CHANGED
        raise Refusal(kind, where, f"is new in {section.name}")
    if place is not None and place.name == PERCPU and next(view.references(unit), None) is not None:
        raise Refusal(
            SECTION_CHANGED,
            where,
            "is a per-CPU variable, and module loading sets no pointers in those",
        )
    if place is not None and place.name:
        return place.name if place.name != ".data" else f".data.{unit.name}"
    if unit.is_function and not (unit.start == room and unit.end == section.size):
        return f".text.{unit.name}"
    return section.name


def _place(section: str) -> PlacementRule | None:
    fitting = (place for place in PLACES if section.startswith(place.prefix))
    return max(fitting, key=lambda place: len(place.prefix), default=None)
