# SPDX-License-Identifier: GPL-2.0-or-later
"""The first proof on a real kernel: what is compiled is what is running, and all that is not is
refused."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from suture.diff.comparison import ONCE_ONLY
from suture.elf import reader
from suture.elf.object import STB_WEAK
from suture.errors import Refusal
from suture.model import VMLINUX
from suture.objects.locals import is_cold
from suture.objects.view import Unit, View
from suture.verify.addresses import Addresses
from suture.verify.kernel import Kernel
from suture.workspace import objects
from suture.workspace.original import originals
from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.patches import Edit, diff

MEMINFO, LOOP = "fs/proc/meminfo.c", "drivers/block/loop.c"
NEW_TOTAL = Edit(MEMINFO, '"MemTotal:       "', '"SutTotal:       "')
NEW_LIMIT = Edit(
    LOOP, "\tlo->lo_sizelimit = info->lo_sizelimit;", "\tlo->lo_sizelimit = info->lo_sizelimit + 1;"
)
VMALLOC_KIB = (1 << 45) - 1 >> 10
"""VMALLOC_TOTAL of x86-64 with four levels of page tables
(arch/x86/include/asm/pgtable_64_types.h)."""

INSTRUCTION = r"\+0x[0-9a-f]+: +([0-9a-f]{2} )+ *[a-z]"


def wrong_source(place: Place, workspace: Workspace, edit: Edit) -> Refusal:
    """Build for a kernel whose source differs by `edit` from the source it was built from."""
    text = (workspace.tree / edit.path).read_text()
    assert text.count(edit.old) == 1
    tree = place.with_workspace(workspace, {edit.path: text.replace(edit.old, edit.new).encode()})
    place.patch(diff(tree, NEW_TOTAL))
    return place.refused(*place.build("my.patch"))


WRONG_SOURCE = {
    "another constant": Edit(MEMINFO, "VMALLOC_TOTAL >> 10", "VMALLOC_TOTAL >> 11"),
    "another callee": Edit(MEMINFO, "vm_commit_limit()", "vmalloc_nr_pages()"),
    "another entry of an array": Edit(
        MEMINFO, "global_node_page_state(NR_PAGETABLE)", "global_node_page_state(NR_WRITEBACK)"
    ),
    "another string": Edit(MEMINFO, '"Percpu:         "', '"PerCPU:         "'),
    "another field": Edit(MEMINFO, "i.freeram)", "i.bufferram)"),
    "one statement more": Edit(
        MEMINFO, "\tarch_report_meminfo(m);\n", "\tarch_report_meminfo(m);\n\tcond_resched();\n"
    ),
    "one statement less": Edit(MEMINFO, "\thugetlb_report_meminfo(m);\n", ""),
}


@pytest.mark.parametrize("edit", WRONG_SOURCE.values(), ids=WRONG_SOURCE)
def test_another_source_is_refused_with_both_instructions(
    place: Place, workspace: Workspace, edit: Edit
) -> None:
    error = wrong_source(place, workspace, edit)
    assert (error.code, error.where) == ("pre-image-mismatch", f"{MEMINFO}: meminfo_proc_show()")
    assert "meminfo_proc_show()+0x" in error.found
    ours, theirs = error.evidence
    assert re.match(r"compiled here: " + INSTRUCTION, ours)
    assert re.match(r"shipped:       " + INSTRUCTION, theirs)
    assert ours.removeprefix("compiled here: ") != theirs.removeprefix("shipped:       ")


@pytest.mark.parametrize("option", ["-O1", "-fno-omit-frame-pointer", "-fno-inline", "-mtune=atom"])
def test_other_options_are_refused(place: Place, workspace: Workspace, option: str) -> None:
    place.with_workspace(workspace, {MEMINFO: (workspace.tree / MEMINFO).read_bytes()}, option)
    place.patch(diff(workspace.tree, NEW_TOTAL))
    error = place.refused(*place.build("my.patch"))
    assert (error.code, error.where) == ("pre-image-mismatch", f"{MEMINFO}: meminfo_proc_show()")
    assert len(error.evidence) == 2


def test_another_image_is_refused(place: Place, workspace: Workspace, tmp_path: Path) -> None:
    """One bit of a constant differs, as if the package had been built again from another source."""
    kernel = Kernel(place.target)
    (address,) = kernel.vmlinux.addresses("meminfo_proc_show")
    image = bytearray(place.target.vmlinux.read_bytes())
    code = kernel.vmlinux.read(address, 4096)
    assert code is not None
    constant = struct.pack("<Q", VMALLOC_KIB)
    at = image.index(code) + code.index(constant)
    image[at] ^= 1
    (tmp_path / "vmlinux").write_bytes(image)
    place.with_parts(vmlinux=tmp_path / "vmlinux")
    place.patch(diff(workspace.tree, NEW_TOTAL))
    error = place.refused(*place.build("my.patch"))
    assert (error.code, error.where) == ("pre-image-mismatch", f"{MEMINFO}: meminfo_proc_show()")
    ours, theirs = error.evidence
    assert constant.hex(" ") in ours
    assert bytes(image[at : at + 8]).hex(" ") in theirs


def test_another_source_of_a_module_is_refused(place: Place, workspace: Workspace) -> None:
    text = (workspace.tree / LOOP).read_text()
    assert text.count("info->lo_offset > LLONG_MAX") == 1
    wrong = text.replace("info->lo_offset > LLONG_MAX", "info->lo_offset > INT_MAX")
    tree = place.with_workspace(workspace, {LOOP: wrong.encode()})
    place.patch(diff(tree, NEW_LIMIT))
    error = place.refused(*place.build("my.patch"))
    assert error.code == "pre-image-mismatch"
    assert error.where.startswith(f"{LOOP}: ")
    assert len(error.evidence) == 2


def test_a_weak_function_that_the_architecture_overrides_is_refused(
    place: Place, workspace: Workspace
) -> None:
    weak = "void __attribute__((weak)) arch_report_meminfo(struct seq_file *m)\n{\n"
    place.patch(diff(workspace.tree, Edit(MEMINFO, weak, weak + '\tseq_puts(m, "Sutured\\n");\n')))
    error = place.refused(*place.build("my.patch"))
    assert (error.code, error.where) == (
        "function-not-in-kernel",
        f"{MEMINFO}: arch_report_meminfo()",
    )
    assert "weak" in error.found


def test_a_module_that_the_kernel_does_not_have_is_refused(
    place: Place, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "modules").mkdir()
    place.with_parts(modules=tmp_path / "modules")
    place.patch(diff(workspace.tree, NEW_LIMIT))
    error = place.refused(*place.build("my.patch"))
    assert (error.code, error.where) == ("function-not-in-kernel", "loop")


CANDIDATES = (
    "fs/inode.c", "mm/vmalloc.c", "kernel/workqueue.c", "net/ipv4/tcp_input.c", "arch/x86/kernel/cpu/proc.c",
    "drivers/block/loop.c", "drivers/net/tun.c", "fs/udf/balloc.c", "net/netfilter/nf_conntrack_core.c",
    "drivers/block/null_blk/main.c",
)  # fmt: skip
"""Built in and in modules; those are taken that the target has."""


def test_every_function_of_files_all_over_the_tree_is_proved(workspace: Workspace) -> None:
    proved = prove_candidates(workspace)
    assert len(proved) >= 4, "some in modules"
    assert proved[VMLINUX] > 300


def test_every_function_of_another_flavour_is_proved(flavour_workspace: Workspace) -> None:
    """rt has patches of its own, and locks that sleep in each of these files."""
    proved = prove_candidates(flavour_workspace)
    assert len(proved) >= 4, "some in modules"
    assert proved[VMLINUX] > 300


def prove_candidates(workspace: Workspace) -> dict[str, int]:
    """Prove all functions of the candidates, and return their number in each object."""
    built = objects.beside(workspace, CANDIDATES)
    listed = {source: one for source in CANDIDATES if (one := built.of(source)) is not None}
    assert len(listed) >= 8
    kernel = Kernel(workspace.target)
    proved: dict[str, int] = {}
    for source, stored in zip(listed, originals(workspace, list(listed.values())), strict=True):
        objname = stored.compilation.modname or VMLINUX
        view = View(reader.read(stored.content, source))
        addresses = Addresses(view, kernel.shipped(objname))
        functions = [unit for unit in view.units if is_provable(view, unit)]
        assert functions
        for function in functions:
            match = addresses.prove(function)
            assert function.name in addresses.shipped.names(match.address)
        proved[objname] = proved.get(objname, 0) + len(functions)
    return proved


def is_provable(view: View, unit: Unit) -> bool:
    """Code that stays, and that no other file can override."""
    weak = {symbol.name for symbol in view.obj.symbols if symbol.bind == STB_WEAK}
    return (
        unit.is_function
        and not is_cold(unit.name)
        and not view.section(unit).name.startswith(ONCE_ONLY)
        and weak.isdisjoint((unit.name, *unit.aliases))
    )
