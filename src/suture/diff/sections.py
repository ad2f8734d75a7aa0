# SPDX-License-Identifier: GPL-2.0-or-later
"""Changed sections that are neither code nor variables nor special; the kernel reads each in its
own way.

`TABLE` says for each section whether a change is left out, and why, or refused.  A change in a
section without a row is refused with the section's name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from typing import Protocol, TypeVar

from suture.arch import Architecture
from suture.diff.comparison import Comparison
from suture.diff.hooks import HOOK_PREFIXES
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
from suture.objects.boot_constants import kind_and_variable
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
    *HOOK_PREFIXES,
)
"""Prefixes of sections that are not part of the running kernel, or are made again for the live
patch module.  ``.BTF_ids`` has a row of its own."""

Verdict = Reason | Kind
"""A change is left out for a reason, or refused."""


@dataclass(frozen=True, slots=True)
class SectionRule:
    """The verdicts on changes in a group of sections.

    :ivar prefix: of the names of the sections; the longest prefix that matches counts.
    :ivar new: the verdict on a new entry; `gone`, `changed`: on one that the patch removes or
        changes, if that differs.
    :ivar noun: an entry in words.
    :ivar why: replaces the refusal's reason; `remedy`: its way out.
    """

    prefix: str
    new: Verdict
    gone: Verdict | None = None
    changed: Verdict | None = None
    noun: str = "entry"
    why: str | None = None
    remedy: str | None = None

    def verdict(self, how: str) -> Verdict:
        """Return the verdict on an entry that is ``new``, ``removed`` or ``changed``."""
        other = {"new": None, "removed": self.gone, "changed": self.changed}[how]
        return self.new if other is None else other


def _left_out(core: str, module: str | None = None) -> Reason:
    return Reason(NO_CODE_CHANGE, core, core if module is None else module)


_RAN = Reason(
    INIT_FUNCTION_CHANGED,
    "the kernel called or read it once at boot",
    "the kernel read it when the module was loaded; a module that is loaded after the live patch "
    "has the old one",
)

_EXPORT = _left_out(
    "the new code of this live patch uses the symbol directly; other modules link against the "
    "symbols that the kernel exported when it was built"
)

TABLE: tuple[SectionRule, ...] = (
    # --- read by user space alone: depmod, modprobe, modinfo (include/linux/module.h: MODULE_INFO)
    SectionRule(
        ".modinfo",
        _left_out(
            "programs read it in the module's file; the kernel does not use it once code is loaded"
        ),
        noun="line",
    ),
    # include/linux/module.h: MODULE_VERSION of code that is built in
    SectionRule(
        "__modver", _left_out("it is shown in /sys/module and was read at boot"), noun="version"
    ),
    # --- exports: include/linux/export.h; kernel/module/main.c: find_symbol() searches the kernel
    # and modules as loaded
    SectionRule("___ksymtab", _EXPORT, noun="export"),
    SectionRule("__ksymtab", _EXPORT, noun="export"),
    # since 7.0, beside them: whether an export is for GPL modules alone
    SectionRule("___kflagstab", _EXPORT, noun="export"),
    SectionRule("__kflagstab", _EXPORT, noun="export"),
    SectionRule("___kcrctab", _EXPORT, noun="export"),
    SectionRule("__kcrctab", _EXPORT, noun="export"),
    # the same since 6.5: read and dropped by modpost
    SectionRule(".export_symbol", _EXPORT, noun="export"),
    # --- parameters: include/linux/moduleparam.h; kernel/params.c: parse_args() at boot or module
    # load, param_sysfs_builtin() makes the files in /sys once
    SectionRule(
        "__param",
        _left_out(
            "nothing can set it, on the command line or in /sys: the new code finds the variable's "
            "initial value"
        ),
        gone=_left_out(
            "the kernel keeps the parameter, and setting it no longer affects the new code"
        ),
        changed=DATA_CHANGED,
        noun="parameter",
        why="The kernel made the file in /sys and took the command line's value when it booted or "
        "loaded the module.",
        remedy="Leave name, type and permissions as they are, and check the value where the code "
        "reads it.",
    ),
    # --- run or read at boot: include/asm-generic/vmlinux.lds.h: INIT_DATA, INIT_CALLS, INIT_SETUP
    SectionRule(".initcall", _RAN, noun="initcall"),
    SectionRule(".con_initcall", _RAN, noun="initcall"),
    SectionRule(
        ".exitcall",
        _left_out("what is built into the kernel is never unloaded, so nothing calls it"),
        noun="exit call",
    ),
    SectionRule(".init.setup", _RAN, noun="command line option"),
    SectionRule(".init.", INIT_DATA, noun="variable"),
    SectionRule(".exit.", EXIT_DATA, noun="variable"),
    SectionRule(".lsm_info.init", _RAN),
    SectionRule(".early_lsm_info.init", _RAN),
    SectionRule("__earlycon_table", _RAN),
    SectionRule(".dtb.init", _RAN),
    # drivers/thermal/thermal_core.h: THERMAL_GOVERNOR_DECLARE; include/linux/acpi.h:
    # ACPI_DECLARE_PROBE_ENTRY; include/linux/of.h: OF_DECLARE_1
    SectionRule("__governor_thermal_table", _RAN),
    SectionRule("__irqchip_acpi_probe_table", _RAN),
    SectionRule("__timer_acpi_probe_table", _RAN),
    *(SectionRule(f"__{name}_of_table", _RAN) for name in ("clk", "cpu_method", "cpuidle_method")),
    # --- for debugging
    # include/linux/printk.h: CONFIG_PRINTK_INDEX lists formats in debugfs
    SectionRule(
        ".printk_index",
        _left_out("it lists the messages of the kernel as built, for programs that read logs"),
    ),
    # include/linux/dynamic_debug.h: the code's own call sites come along in __dyndbg
    SectionRule(
        "__dyndbg_classes",
        _left_out("the class of messages cannot be switched; its call sites can"),
    ),
    # include/asm-generic/error-injection.h
    SectionRule(
        "_error_injection_whitelist",
        _left_out(
            "errors are injected at the old function's address, which also leads to new code"
        ),
    ),
    # include/linux/btf_ids.h: filled in from the kernel's BTF when vmlinux is linked
    # (tools/bpf/resolve_btfids)
    SectionRule(
        ".BTF_ids",
        _left_out(
            "BPF programs are checked against the lists that were linked into the kernel, which do "
            "not change"
        ),
        changed=SECTION_CHANGED,
        noun="BTF id",
        why="The number of a type is written here when the kernel is linked; a live patch cannot "
        "get one.",
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
    # include/linux/tracepoint.h since 6.18: the names of the tracepoints that code uses, which the
    # build compares with those that there are (scripts/tracepoint-update.c)
    SectionRule("__tracepoint_check", _left_out("only the build of the kernel reads it")),
    # --- for the build alone, which drops symbols that nothing uses
    # include/linux/module.h since 6.18: the names that symbol_get() looks up
    SectionRule(".no_trim_symbol", _left_out("only the build of the kernel's modules reads it")),
    # include/linux/compiler.h: KENTRY()
    SectionRule("___kentry", _left_out("only the link of the kernel reads it")),
    # include/linux/syscalls.h: SYSCALL_METADATA; the table of calls is made from
    # arch/x86/entry/syscalls/*.tbl
    SectionRule(
        "__syscalls_metadata",
        SECTION_CHANGED,
        noun="system call",
        why="The table of system calls and the types of their parameters were linked into the "
        "kernel.",
        remedy="Leave the number and the parameters of system calls as they are; offer the new "
        "function through a flag of an existing call, or a file in /proc.",
    ),
    # include/asm-generic/kprobes.h: NOKPROBE_SYMBOL; kernel/kprobes.c: populate_kprobe_blacklist(),
    # at boot
    SectionRule(
        "_kprobe_blacklist",
        SECTION_CHANGED,
        noun="function that must not be probed",
        why="The kernel read the list of such functions at boot or when the module was loaded; a "
        "probe could still be placed on this one.",
        remedy="Leave the NOKPROBE_SYMBOL() out of the patch.",
    ),
    # --- tables that subsystems search while they run; entries of a live patch are not in them
    # include/linux/pci.h: DECLARE_PCI_FIXUP_*
    SectionRule(
        ".pci_fixup",
        SECTION_CHANGED,
        noun="PCI quirk",
        why="The kernel walks the table of quirks that was linked into it; a live patch cannot add "
        "to that table.",
        remedy="Do the quirk's work in a pre-patch callback, for the devices that are present.",
    ),
    # include/linux/srcutree.h: DEFINE_SRCU in a module; srcu_module_coming() initialises what is
    # listed
    SectionRule(
        "___srcu_struct_ptrs",
        SECTION_CHANGED,
        noun="SRCU domain",
        why="A module's SRCU domains are set up from this list when the module is loaded.",
        remedy="Call init_srcu_struct() on a new variable from a pre-patch callback.",
    ),
    # include/linux/static_call.h: DEFINE_STATIC_CALL brings a trampoline that text_poke() rewrites
    SectionRule(
        ".static_call",
        SECTION_CHANGED,
        noun="static call",
        why="The trampoline of a static call is code that the kernel rewrites, and part of the "
        "object that defines it.",
        remedy="Call through a function pointer instead: set it with WRITE_ONCE(), and call what "
        "READ_ONCE() gives. The static calls that the kernel has can be used as they are.",
    ),
    # a constructor would run when the live patch module is loaded (kernel/module/main.c:
    # do_mod_ctors())
    SectionRule(".ctors", SECTION_CHANGED, noun="constructor"),
    SectionRule(".init_array", SECTION_CHANGED, noun="constructor"),
)


NO_RULE = SectionRule("", SECTION_CHANGED)
"""The rule for a section without a row."""


@cache
def _table(arch: Architecture) -> tuple[SectionRule, ...]:
    return *TABLE, *(SectionRule(name, _RAN) for name in arch.sections.boot_tables)


class HasPrefix(Protocol):
    """A rule for the sections with names that begin with a prefix."""

    @property
    def prefix(self) -> str:
        """The prefix."""


Rule = TypeVar("Rule", bound=HasPrefix)


def most_specific(rules: Iterable[Rule], section: str) -> Rule | None:
    """Return the rule with the longest prefix of a section's name."""
    matching = (rule for rule in rules if section.startswith(rule.prefix))
    return max(matching, key=lambda rule: len(rule.prefix), default=None)


@lru_cache(maxsize=1024)
def rule_for(section: str, arch: Architecture) -> SectionRule | None:
    """Return the rule for changes in a section; None if there is none."""
    return most_specific(_table(arch), section)


def changed_sections(
    comparison: Comparison, ignored: Collection[str] = ()
) -> tuple[OmittedPart, ...]:
    """Return the entries that the patch adds, removes or changes and that are left out.

    Example: a new ``EXPORT_SYMBOL()`` is left out, because new code links with the symbol anyway.
    A new ``DECLARE_PCI_FIXUP_FINAL()`` is refused: the kernel would never walk to it, and the fix
    would be missing.

    :param ignored: names of sections that the patch asks to ignore.
    :raises Refusal: ``section-changed``, ``tracepoint-changed``, ``data-changed``
    """
    before, after = _watched(comparison.original.view), _watched(comparison.patched.view)
    omitted: dict[OmittedPart, None] = {}
    for section in [*before, *(name for name in after if name not in before)]:
        mine, theirs = before.get(section, []), after.get(section, [])
        if len(mine) == len(theirs) and all(map(comparison.same_section, mine, theirs)):
            continue
        rule = rule_for(section, comparison.original.view.obj.arch) or NO_RULE
        for how, entry in _differences(comparison, section, mine, theirs):
            verdict = BY_AUTHOR if section in ignored else rule.verdict(how)
            what = f"the {how} {rule.noun}{f' {entry}' if entry else ''}"
            if isinstance(verdict, Kind):
                name, found = comparison.patched.view.obj.name, f"{what} is in section {section}"
                raise Refusal(verdict, name, found, why=rule.why, remedy=rule.remedy)
            omitted[OmittedPart(what, section, verdict)] = None
    return tuple(omitted)


def _differences(
    comparison: Comparison, section: str, before: list[int], after: list[int]
) -> Iterator[tuple[str, str]]:
    """Return how entries differ (``new``, ``removed``, ``changed``), and their names or ""."""
    mine, theirs = comparison.original.view, comparison.patched.view
    if section == ".modinfo":
        return _counted(_strings(mine, before), _strings(theirs, after))
    if _are_named(mine, before) and _are_named(theirs, after):
        return _named_differences(comparison, before, after)
    named = list(_counted(_referred_names(mine, before), _referred_names(theirs, after)))
    how = "new" if not before else "removed" if not after else "changed"
    return iter(named or [(how, "")])


def _named_differences(
    comparison: Comparison, before: list[int], after: list[int]
) -> Iterator[tuple[str, str]]:
    """Yield differences of entries that have symbols: ``__param_depth``."""
    mine, theirs = comparison.original.view, comparison.patched.view
    pairs = comparison.correlation.original
    old = list(chain.from_iterable(mine.units_in(index) for index in before))
    new = list(chain.from_iterable(theirs.units_in(index) for index in after))
    paired = {pairs[unit] for unit in new if unit in pairs}
    yield from _counted(
        Counter(_entry_name(unit) for unit in old if unit not in paired),
        Counter(_entry_name(unit) for unit in new if unit not in pairs),
    )
    for unit in new:
        if unit in pairs and not comparison.same_data(pairs[unit], unit):
            yield "changed", _entry_name(unit)


def _counted(before: Counter[str], after: Counter[str]) -> Iterator[tuple[str, str]]:
    """Yield the names that there are fewer or more of."""
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


def _entry_name(unit: Unit) -> str:
    """Return the author's part of an entry's name: ``depth`` of ``__param_depth``."""
    return _written(re.sub(r"__\d+$", "", base(unit.name)))


def _written(name: str) -> str:
    for prefix in MADE_BY_MACROS:
        name = name.removeprefix(prefix)
    return name


def _referred_names(view: View, sections: list[int]) -> Counter[str]:
    """Count the names that entries refer to: functions of initcalls, symbols of exports."""
    names: Counter[str] = Counter()
    for index in sections:
        for reference in view.references_in(index, 0, view.obj.sections[index].size):
            match reference.target:
                case ToUnit(unit, _):
                    names[_written(base(unit.name))] += 1
                case ToUndefined(name, _):
                    names[_written(name)] += 1
    return names


def _are_named(view: View, sections: list[int]) -> bool:
    return all(_is_named(view, section) for section in sections)


def _is_named(view: View, section: int) -> bool:
    """Whether symbols cover all contents of a section except padding."""
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
    """Return, by name, the sections that `TABLE` is about, and code that no symbol names."""
    watched: dict[str, list[int]] = {}
    for index, section in enumerate(view.obj.sections):
        is_named_code = section.is_code and view.units_in(index)
        if section.size and _is_watched(section, view.obj.arch) and not is_named_code:
            watched.setdefault(section.name, []).append(index)
    return watched


@cache
def _known(arch: Architecture) -> frozenset[str]:
    """Return the sections that are compared with code: special ones, and those of private data."""
    return frozenset({*arch.sections.carried_along, *sections(arch), *chain(*IN_SECTION.values())})


def _is_watched(section: Section, arch: Architecture) -> bool:
    if not section.is_allocated or section.is_strings or section.name in _known(arch):
        return False
    if kind_and_variable(section.name, arch) is not None:
        return False  # compared with the code that they are about
    return rule_for(section.name, arch) is not None or not section.name.startswith(
        (*DATA, *IGNORED)
    )
