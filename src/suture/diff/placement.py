# SPDX-License-Identifier: GPL-2.0-or-later
"""The section of the live patch module for each new function or variable, and those that have none.

The kernel's linker script gives some sections a meaning by their place
(include/asm-generic/vmlinux.lds.h, arch/x86/kernel/vmlinux.lds.S).  The module loader gives others
one by their name (kernel/module/main.c).  `PLACES` has a rule for each section where the two
differ; every other section keeps its name.
"""

from __future__ import annotations

from dataclasses import dataclass

from suture.diff.comparison import is_once_only
from suture.diff.sections import NO_RULE, most_specific, rule_for
from suture.errors import INIT_REFERENCED, SECTION_CHANGED, Kind, Refusal
from suture.objects.locals import DATA
from suture.objects.view import Unit, View


@dataclass(frozen=True, slots=True)
class PlacementRule:
    """The place in the module for units of a group of sections.

    :ivar prefix: of the names of the sections; the longest prefix that matches counts.
    :ivar name: the section in the module; "" for one named after the unit.
    :ivar why: why new units in it cannot be in a module; "" if they can.
    """

    prefix: str
    name: str = ""
    why: str = ""


PERCPU = ".data..percpu"
"""The loader leaves its relocations alone (kernel/module/main.c: apply_relocations())."""

PLACES: tuple[PlacementRule, ...] = (
    # --- variables
    # The loader only allocates per-CPU memory for the section of this name.  Variables that the
    # core kernel has in ..read_mostly, ..shared_aligned or ..page_aligned
    # (include/linux/percpu-defs.h) would be plain memory in a module, and %gs would lead elsewhere.
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
    # In a module it becomes read-only after the init function (kernel/module/main.c:
    # module_mark_ro_after_init()), too early for a callback of a module that is loaded later to set
    # it; so it becomes an ordinary variable.
    PlacementRule(".data..ro_after_init", name=".data"),
    PlacementRule(".bss..brk", why="is memory that the kernel hands out while it boots"),
    PlacementRule(
        ".data..nosave",
        why="keeps its value over hibernation by its place in the kernel's image",
    ),
    PlacementRule(".data..init_task", why="is the first task's own"),
    PlacementRule(".vvar", why="is mapped into every process by its place in the kernel's image"),
    # --- code
    # kprobes refuses these sections of a module by name (kernel/kprobes.c:
    # kprobes_module_callback())
    PlacementRule(".noinstr.text", name=".noinstr.text"),
    PlacementRule(".kprobes.text", name=".kprobes.text"),
    PlacementRule(
        ".entry.text",
        why="runs on user page tables too, which map it by its place in the kernel's image",
    ),
    PlacementRule(
        ".head.text", why="runs while the kernel boots, before it is at its own addresses"
    ),
    PlacementRule(
        ".static_call.text",
        why="holds the trampolines of static calls, which the kernel rewrites",
    ),
    # These only decide which function of a sleeping or interrupted task /proc/PID/wchan and stack
    # traces show: in_sched_functions(), in_lock_functions(), in_softirqentry_text(), cpu_in_idle().
    PlacementRule(".sched.text"),
    PlacementRule(".spinlock.text"),
    PlacementRule(".softirqentry.text"),
    PlacementRule(".irqentry.text"),
    PlacementRule(".cpuidle.text"),
    PlacementRule(".ref.text"),
    PlacementRule(".meminit.text"),
)


def output_section(view: View, unit: Unit, room: int = 0) -> str:
    """Return the section of the module for a unit that is copied.

    Example: a new ``DEFINE_PER_CPU_READ_MOSTLY()`` of the core kernel is in
    ``.data..percpu..read_mostly``; under that name the loader would make plain memory of it, so it
    goes into ``.data..percpu``.

    :param room: bytes before the unit that are copied too (`suture.diff.padding`).
    :raises Refusal: ``init-referenced``, ``section-changed``, ``tracepoint-changed``
    """
    section = view.section(unit)
    where = f"{view.obj.name}: {unit.name}"
    if is_once_only(section):
        raise Refusal(INIT_REFERENCED, where, f"is in {section.name}")
    place = most_specific(PLACES, section.name)
    if place is not None and place.why:
        found = f"is in {section.name}, which {place.why}"
        rule = rule_for(section.name, view.obj.arch) or NO_RULE
        raise Refusal(SECTION_CHANGED, where, found, why=rule.why, remedy=rule.remedy)
    if not unit.is_function and not (view.is_private(unit) or section.name.startswith(DATA)):
        known = rule_for(section.name, view.obj.arch)
        kind = known.new if known and isinstance(known.new, Kind) else SECTION_CHANGED
        raise Refusal(kind, where, f"is new in {section.name}")
    if place is not None and place.name == PERCPU and next(view.references(unit), None) is not None:
        found = "is a per-CPU variable, and module loading sets no pointers in those"
        raise Refusal(SECTION_CHANGED, where, found)
    if place is not None and place.name:
        return place.name if place.name != ".data" else f".data.{unit.name}"
    if unit.is_function and not (unit.start == room and unit.end == section.size):
        return f".text.{unit.name}"
    return section.name
