# SPDX-License-Identifier: GPL-2.0-or-later
"""Sections that are neither code, variables nor special: the kernel reads each for a purpose of its
own.

`TABLE` says for each what a change to it means: left out, with the reason told, or refused.  What
has no row is refused by the section's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from suture.arch import Architecture
from suture.diff.comparison import Comparison
from suture.diff.hooks import OF_PATCHES
from suture.diff.omitted import BY_AUTHOR, EXIT_DATA, INIT_DATA, OmittedPart, Reason
from suture.elf.object import SHT_NOBITS, Section
from suture.errors import (
    DATA_CHANGED,
    INIT_FUNCTION_CHANGED,
    NO_CODE_CHANGE,
    SECTION_CHANGED,
    TRACEPOINT_CHANGED,
    Kind,
    Refusal,
)
from suture.objects.locals import DATA, IN_SECTION, base
from suture.objects.special import sections
from suture.objects.view import ToUndefined, ToUnit, Unit, View

IGNORED = (
    *(
        ".discard",
        ".comment",
        ".note",
        ".debug",
        ".symtab",
        ".strtab",
        ".shstrtab",
        ".rela",
        ".eh_frame",
        ".BTF",
    ),
    *OF_PATCHES,
)
"""Not part of the running kernel, or made anew for the live patch module.  ``.BTF_ids`` has a row
of its own."""

Verdict = Reason | Kind
"""What is left out, or refused."""


@dataclass(frozen=True, slots=True)
class SectionRule:
    """:ivar prefix: which sections; the longest prefix that fits counts.
    :ivar new: what a new entry means; `gone`, `changed`: one that the patch removes or changes, if
        not the same.
    :ivar noun: what an entry is, for people.
    :ivar why: replaces the refusal's reason; `remedy` its way out.
    """

    prefix: str
    new: Verdict
    gone: Verdict | None = None
    changed: Verdict | None = None
    noun: str = "entry"
    why: str | None = None
    remedy: str | None = None

    def verdict(self, how: str) -> Verdict:
        other = {"new": None, "removed": self.gone, "changed": self.changed}[how]
        return self.new if other is None else other


def _left(core: str, module: str | None = None) -> Reason:
    return Reason(NO_CODE_CHANGE, core, core if module is None else module)


_RAN = Reason(
    INIT_FUNCTION_CHANGED,
    "the kernel called or read it once at boot",
    "the kernel read it when the module was loaded; a module that is loaded after the live patch has the old one",
)

_EXPORT = _left(
    "the new code of this live patch reaches the symbol directly; other modules link against what the kernel exported "
    "when it was built"
)

TABLE: tuple[SectionRule, ...] = (
    # --- read by user space alone: depmod, modprobe, modinfo (include/linux/module.h: MODULE_INFO)
    SectionRule(
        ".modinfo",
        _left(
            "programs read it in the module's file; the kernel has no use for it in code that is already there"
        ),
        noun="line",
    ),
    # include/linux/module.h: MODULE_VERSION of code that is built in
    SectionRule(
        "__modver", _left("it is shown in /sys/module and was read at boot"), noun="version"
    ),
    # --- exports: include/linux/export.h; kernel/module/main.c: find_symbol() searches kernel and modules as loaded
    SectionRule("___ksymtab", _EXPORT, noun="export"),
    SectionRule("__ksymtab", _EXPORT, noun="export"),
    SectionRule("___kcrctab", _EXPORT, noun="export"),
    SectionRule("__kcrctab", _EXPORT, noun="export"),
    # the same since 6.5: read and dropped by modpost
    SectionRule(".export_symbol", _EXPORT, noun="export"),
    # --- parameters: include/linux/moduleparam.h; kernel/params.c: parse_args() at boot or module load,
    # param_sysfs_builtin() makes the files in /sys once
    SectionRule(
        "__param",
        _left(
            "nothing can set it, on the command line or in /sys: the new code finds the variable as it is"
        ),
        gone=_left(
            "the kernel keeps the parameter, and setting it has no more effect on the new code"
        ),
        changed=DATA_CHANGED,
        noun="parameter",
        why="The kernel made the file in /sys and took the command line's value when it booted or loaded the module.",
        remedy="Leave name, type and permissions as they are, and check the value where the code reads it.",
    ),
    # --- what ran or was read at boot: include/asm-generic/vmlinux.lds.h: INIT_DATA, INIT_CALLS, INIT_SETUP
    SectionRule(".initcall", _RAN, noun="initcall"),
    SectionRule(".con_initcall", _RAN, noun="initcall"),
    SectionRule(
        ".exitcall",
        _left("what is built into the kernel is never unloaded, so nothing calls it"),
        noun="exit call",
    ),
    SectionRule(".init.setup", _RAN, noun="command line option"),
    SectionRule(".init.", INIT_DATA, noun="variable"),
    SectionRule(".exit.", EXIT_DATA, noun="variable"),
    SectionRule(".lsm_info.init", _RAN),
    SectionRule(".early_lsm_info.init", _RAN),
    SectionRule("__earlycon_table", _RAN),
    SectionRule(".dtb.init", _RAN),
    # --- for people who debug
    # include/linux/printk.h: CONFIG_PRINTK_INDEX lists formats in debugfs
    SectionRule(
        ".printk_index",
        _left("it lists the messages of the kernel as built, for programs that read logs"),
    ),
    # include/linux/dynamic_debug.h: the code's own call sites come along in __dyndbg
    SectionRule(
        "__dyndbg_classes", _left("the class of messages cannot be switched; its call sites can")
    ),
    # include/asm-generic/error-injection.h
    SectionRule(
        "_error_injection_whitelist",
        _left(
            "errors are injected at the old function's address, which is where new code is entered too"
        ),
    ),
    # include/linux/btf_ids.h: filled in from the kernel's BTF when vmlinux is linked
    # (tools/bpf/resolve_btfids)
    SectionRule(
        ".BTF_ids",
        _left(
            "BPF programs are checked against the lists that were linked into the kernel, which stay as they are"
        ),
        changed=SECTION_CHANGED,
        noun="BTF id",
        why="The number of a type is written here when the kernel is linked, and cannot be had for a live patch.",
        remedy="Leave the new BPF function or type list out of the patch.",
    ),
    # --- tracepoints: include/linux/tracepoint.h, include/trace/trace_events.h
    *(
        SectionRule(name, TRACEPOINT_CHANGED, noun="tracepoint")
        for name in (
            "__tracepoints",
            "__tracepoints_ptrs",
            "__tracepoints_strings",
            "__tracepoint_str",
            "_ftrace_events",
            "_ftrace_eval_map",
            "__bpf_raw_tp_map",
            "__trace_printk_fmt",
        )
    ),
    # include/linux/syscalls.h: SYSCALL_METADATA; the table of calls is made from
    # arch/x86/entry/syscalls/*.tbl
    SectionRule(
        "__syscalls_metadata",
        SECTION_CHANGED,
        noun="system call",
        why="The table of system calls, and what the kernel knows of their parameters, were linked into it.",
        remedy="Leave the number and the parameters of system calls as they are; what is new can be asked for with a "
        "flag of a call that there is, or through a file in /proc.",
    ),
    # include/asm-generic/kprobes.h: NOKPROBE_SYMBOL; kernel/kprobes.c: populate_kprobe_blacklist(),
    # at boot
    SectionRule(
        "_kprobe_blacklist",
        SECTION_CHANGED,
        noun="function that must not be probed",
        why="The kernel read the list of such functions at boot or when the module was loaded; a probe could be placed "
        "on this one all the same.",
        remedy="Leave the NOKPROBE_SYMBOL() out of the patch.",
    ),
    # --- tables that subsystems search while they run; entries of a live patch are not in them
    # include/linux/pci.h: DECLARE_PCI_FIXUP_*
    SectionRule(
        ".pci_fixup",
        SECTION_CHANGED,
        noun="PCI quirk",
        why="The kernel walks the table of quirks that was linked into it; a live patch cannot add to that table.",
        remedy="Do in a pre-patch callback what the quirk does, for the device that is there.",
    ),
    # include/linux/srcutree.h: DEFINE_SRCU in a module; srcu_module_coming() initialises what is
    # listed
    SectionRule(
        "___srcu_struct_ptrs",
        SECTION_CHANGED,
        noun="SRCU domain",
        why="A module's SRCU domains are set up from this list when the module is loaded.",
        remedy="Call init_srcu_struct() from a pre-patch callback on a variable of the patch's own.",
    ),
    # include/linux/static_call.h: DEFINE_STATIC_CALL brings a trampoline that text_poke() rewrites
    SectionRule(
        ".static_call",
        SECTION_CHANGED,
        noun="static call",
        why="The trampoline of a static call is code that the kernel rewrites, and part of the object that defines it.",
        remedy="Call through a function pointer.",
    ),
    # a constructor would run when the live patch module is loaded (kernel/module/main.c:
    # do_mod_ctors())
    SectionRule(".ctors", SECTION_CHANGED, noun="constructor"),
    SectionRule(".init_array", SECTION_CHANGED, noun="constructor"),
)


@cache
def _table(arch: Architecture) -> tuple[SectionRule, ...]:
    return *TABLE, *(SectionRule(name, _RAN) for name in arch.sections.boot_tables)


@lru_cache(maxsize=1024)
def row(section: str, arch: Architecture) -> SectionRule | None:
    """What is known about a section."""
    fitting = (row for row in _table(arch) if section.startswith(row.prefix))
    return max(fitting, key=lambda row: len(row.prefix), default=None)


def changed_sections(
    comparison: Comparison, ignored: Collection[str] = ()
) -> tuple[OmittedPart, ...]:
    """The entries that the patch adds, removes or changes, and the live patch goes without.

    :param ignored: names of sections that the patch wants to be left out.

    :raises Refusal: ``section-changed``, ``tracepoint-changed``, ``data-changed``
    """
    before, after = _watched(comparison.original.view), _watched(comparison.patched.view)
    left: dict[OmittedPart, None] = {}
    for section in [*before, *(name for name in after if name not in before)]:
        mine, theirs = before.get(section, []), after.get(section, [])
        if len(mine) == len(theirs) and all(map(comparison.same_section, mine, theirs)):
            continue
        known = row(section, comparison.original.view.obj.arch)
        for how, entry in _differences(comparison, section, mine, theirs):
            verdict = (
                BY_AUTHOR
                if section in ignored
                else known.verdict(how)
                if known
                else SECTION_CHANGED
            )
            what = f"the {how} {known.noun if known else 'entry'}{f' {entry}' if entry else ''}"
            if isinstance(verdict, Kind):
                name = comparison.patched.view.obj.name
                raise Refusal(
                    verdict,
                    name,
                    f"{what} is in section {section}",
                    why=_why(known),
                    remedy=_remedy(known),
                )
            left[OmittedPart(what, section, verdict)] = None
    return tuple(left)


def _why(known: SectionRule | None) -> str | None:
    return known.why if known else None


def _remedy(known: SectionRule | None) -> str | None:
    return known.remedy if known else None


def _differences(
    comparison: Comparison, section: str, before: list[int], after: list[int]
) -> Iterator[tuple[str, str]]:
    """How (``new``, ``removed``, ``changed``) and which entry, "" where it has no name."""
    mine, theirs = comparison.original.view, comparison.patched.view
    if section == ".modinfo":
        yield from _counted(_strings(mine, before), _strings(theirs, after))
    elif all(_is_named(mine, index) for index in before) and all(
        _is_named(theirs, index) for index in after
    ):
        pairs = comparison.correlation.original
        old = [unit for index in before for unit in mine.units_in(index)]
        new = [unit for index in after for unit in theirs.units_in(index)]
        kept = {pairs[unit] for unit in new if unit in pairs}
        yield from _counted(
            Counter(_name(unit) for unit in old if unit not in kept),
            Counter(_name(unit) for unit in new if unit not in pairs),
        )
        for unit in new:
            if unit in pairs and not comparison.same_data(pairs[unit], unit):
                yield "changed", _name(unit)
    else:
        named = list(_counted(_referred(mine, before), _referred(theirs, after)))
        yield from named or [("new" if not before else "removed" if not after else "changed", "")]


def _counted(before: Counter[str], after: Counter[str]) -> Iterator[tuple[str, str]]:
    yield from (("removed", name) for name in before - after)
    yield from (("new", name) for name in after - before)


MADE_BY_MACROS = (
    "__param_",
    "__setup_",
    "__tracepoint_",
    "event_",
    "__BTF_ID__",
    "_kbl_addr_",
    "__p_syscall_meta__",
)


def _name(unit: Unit) -> str:
    """What the author wrote of an entry's name, without what a macro made of it:
    ``__param_depth``."""
    return _written(re.sub(r"__\d+$", "", base(unit.name)))


def _written(name: str) -> str:
    for prefix in MADE_BY_MACROS:
        name = name.removeprefix(prefix)
    return name


def _referred(view: View, sections: list[int]) -> Counter[str]:
    """What entries without names refer to: the function of an initcall, the symbol of an export."""
    found: Counter[str] = Counter()
    for index in sections:
        for reference in view.references_in(index, 0, view.obj.sections[index].size):
            match reference.target:
                case ToUnit(unit, _):
                    found[_written(base(unit.name))] += 1
                case ToUndefined(name, _):
                    found[_written(name)] += 1
    return found


def _is_named(view: View, section: int) -> bool:
    """Symbols the author wrote name all of its contents but padding."""
    held, units = view.obj.sections[section], view.units_in(section)
    if not units or held.type == SHT_NOBITS:
        return bool(units)
    rest = bytearray(held.data)
    for unit in units:
        rest[unit.start : unit.end] = bytes(unit.size)
    return not any(rest)


def _strings(view: View, sections: list[int]) -> Counter[str]:
    held = b"".join(view.obj.sections[index].data for index in sections)
    return Counter(text.decode(errors="replace") for text in held.split(b"\0") if text)


def _watched(view: View) -> dict[str, list[int]]:
    """Sections, by name, that the kernel reads for a purpose of its own, and code that no symbol
    names."""
    found: dict[str, list[int]] = {}
    for index, section in enumerate(view.obj.sections):
        if (
            section.size
            and _is_watched(section, view.obj.arch)
            and not (section.is_code and view.units_in(index))
        ):
            found.setdefault(section.name, []).append(index)
    return found


@cache
def _known(arch: Architecture) -> frozenset[str]:
    """What is compared with the code that it is about; what IN_SECTION names holds private data,
    which goes with the code that uses it."""
    return frozenset({*arch.sections.carried_along, *sections(arch), *IN_SECTION.values()})


def _is_watched(section: Section, arch: Architecture) -> bool:
    if not section.is_allocated or section.is_strings or section.name in _known(arch):
        return False
    return row(section.name, arch) is not None or not section.name.startswith((*DATA, *IGNORED))
