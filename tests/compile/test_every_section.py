# SPDX-License-Identifier: GPL-2.0-or-later
"""Every section of the newest kernel is known: a new one is a new row of a table, once somebody has
read what the kernel does with it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from itertools import chain

import pytest

from suture.arch import Architecture
from suture.diff.line_numbers import BUG_TABLE, LINE_IN_ENTRY
from suture.diff.sections import IGNORED, rule_for
from suture.elf import reader
from suture.kernel import modules
from suture.kernel.release import Target
from suture.objects.boot_constants import kind_and_variable
from suture.objects.locals import DATA, IN_SECTION
from suture.objects.special import HINTS, sections
from suture.verify.kernel import Kernel
from suture.workspace.kbuild import clean_environment
from suture.workspace.prepare import Workspace

STEP = 10
"""Every tenth module is read: all take a minute and a half."""

LARGE = {"amdgpu", "btrfs", "ext4", "i915", "iwlwifi", "kvm", "kvm_intel", "mac80211", "nf_tables"}
"""Modules that have what few others have."""

MADE_BY_MODPOST = (".gnu.linkonce.this_module", "__versions", "__version_ext_")

WITHOUT_A_ROW = (
    # what the linker makes, and what is there with other options only; the script says that it must
    # be empty
    *(".got", ".igot.", ".plt", ".iplt", ".rel.", ".rel_", ".rela_", ".gnu.", ".__restore_ph"),
    # include/asm-generic/vmlinux.lds.h: STABS_DEBUG, SBSS, COMMON_DISCARDS
    *(".line", ".stab", ".dynbss", ".dynsbss", ".scommon", "COMMON", ".xiptext"),
    # the boot's code and data that is written in assembly, as are firmware and the initramfs
    *(".head.text", ".entry.text", ".builtin_fw"),
    # kernel/sched/sched.h: DEFINE_SCHED_CLASS(); a scheduling class is compared by its address
    *(f"__{name}_sched_class" for name in ("dl", "ext", "fair", "idle", "rt", "stop")),
    # destructors, which the kernel never calls; KUnit's tests, for kernels that nobody uses
    *(".dtors", ".fini_array", ".kunit_"),
    # objtool makes it for klp-build
    ".klp.symid",
    # the names of exports, beside ___ksymtab
    "__ksymtab_strings",
)
"""Prefixes of sections that a patch cannot change, or in which a change is rightly refused."""

NOT_A_HINT = frozenset(
    f".discard.{name}"
    for name in (
        # they keep a symbol, or type information of it
        "addressable",
        "gendwarfksyms",
        # include/linux/annotate.h since 6.19: they mark entries of special sections for klp-build
        "annotate_data",
        # include/linux/livepatch_helpers.h, tools/objtool/klp-checksum.c: made for klp-build
        "klp_callback_ptrs",
        "sym_checksum",
        # other architectures
        "tablejump_annotate",
    )
)


def is_known(name: str, arch: Architecture) -> bool:
    """Whether a section or the linker's pattern for several is code or data, or has a row."""
    special = {*sections(arch), *arch.sections.carried_along, *chain(*IN_SECTION.values())}
    return (
        name in special
        or name.startswith((".text", *DATA, *IGNORED, *MADE_BY_MODPOST, *WITHOUT_A_ROW))
        or re.match(r"\.\w+\.text", name) is not None
        or rule_for(name, arch) is not None
        or kind_and_variable(name, arch) is not None
    )


def unknown(names: set[str], arch: Architecture) -> list[str]:
    return sorted(name for name in names if not is_known(name, arch))


def linker_script(workspace: Workspace) -> str:
    """The script with which the kernel is linked, for its configuration."""
    places = [f"{top}include{sub}" for sub in ("", "/uapi") for top in ("arch/x86/", "")]
    places += [f"{top}include/generated{sub}" for sub in ("", "/uapi") for top in ("arch/x86/", "")]
    include = [f"-I{place}" for place in places]
    kconfig = ["-include", "include/linux/kconfig.h"]
    macros = ["-D__ASSEMBLY__", "-D__ASSEMBLER__", "-D__KERNEL__", "-DLINKER_SCRIPT", "-Ux86"]
    command = [workspace.compiler.command, "-E", "-P", "-nostdinc", *include, *kconfig, *macros]
    return subprocess.run(
        [*command, "arch/x86/kernel/vmlinux.lds.S"],
        cwd=workspace.tree,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def linked(script: str) -> set[str]:
    """The input sections that a linker script names."""
    inside = re.findall(r"\*\(\s*(?:SORT\w*\()?([^()]*)", script)
    return {
        name.strip('"').removesuffix("+*").removesuffix("*") for name in " ".join(inside).split()
    }


def test_every_section_that_the_kernel_is_linked_from_is_known(newest_workspace: Workspace) -> None:
    script = linker_script(newest_workspace)
    names = linked(script) | linked((newest_workspace.tree / "scripts/module.lds").read_text())
    assert {"__bug_table", ".altinstructions", ".init.data", "___ksymtab"} <= names
    assert unknown(names, newest_workspace.target.arch) == []


def sections_of(target: Target) -> Iterator[tuple[str, str]]:
    """Module and name of each of its sections."""
    found = sorted(modules.index(target).items())
    for name, path in [*found[::STEP], *(one for one in found if one[0] in LARGE)]:
        obj = reader.read(modules.read(path), path.name)
        yield from ((name, section.name) for section in obj.sections if section.name)


def test_every_section_of_the_shipped_modules_is_known(newest_target: Target) -> None:
    names = {section: module for module, section in sections_of(newest_target)}
    assert len(names) > 50
    assert {name: names[name] for name in unknown(set(names), newest_target.arch)} == {}


def test_every_word_to_objtool_is_known(newest_workspace: Workspace) -> None:
    found = set()
    for directory in ("include", "arch/x86/include", "tools/objtool"):
        for path in (newest_workspace.tree / directory).rglob("*.[ch]"):
            found |= set(re.findall(r"(?<!\w)\.discard\.\w+", path.read_text(errors="replace")))
    hints = HINTS | newest_workspace.target.arch.sections.hints
    assert ".discard.unwind_hints" in found
    assert found - hints - NOT_A_HINT == set()


def test_the_layout_of_every_entry_is_known(newest_target: Target) -> None:
    sizes = Kernel(newest_target).entry_sizes
    alternatives = newest_target.arch.sections.alternatives
    assert sizes[BUG_TABLE] in LINE_IN_ENTRY
    assert sizes[alternatives.entries] in alternatives.lengths
    present = {section for _, section in sections_of(newest_target)}
    for special in sections(newest_target.arch).values():
        assert special.size or special.name in sizes or special.name not in present


@pytest.mark.parametrize("name", [".discoveries", "__new_table", ".initial", "runtime_add_x"])
def test_an_unknown_section_would_be_found(name: str, newest_target: Target) -> None:
    assert unknown({name, ".text", "__ex_table"}, newest_target.arch) == [name]
    assert linked(f"x : {{ KEEP(*(SORT({name}+*))) *(.text .text.*) }}") == {
        name,
        ".text",
        ".text.",
    }
