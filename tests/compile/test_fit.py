# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a module fits a kernel: one that was built for it does, one that was changed does not."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

import suture
from suture.elf import reader
from suture.errors import Refusal
from suture.kernel.release import Target
from suture.module import versions
from suture.verify.examination import examine
from suture.verify.kernel import Kernel
from suture.workspace.prepare import Workspace
from tests.examples import shows
from tests.patches import Edit, diff

EDIT = Edit(
    "fs/proc/version.c",
    "\tseq_printf(m, linux_proc_banner,",
    '\tseq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)


@pytest.fixture(scope="module")
def module(target: Target, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    patch = tmp_path_factory.mktemp("fit") / "version.patch"
    patch.write_text(diff(workspace.tree, EDIT))
    artifact = suture.build([patch], target)
    assert not artifact.is_written
    assert not Path(artifact.path).exists()
    return artifact.data


def test_a_module_fits_the_kernel_that_it_was_built_for(target: Target, module: bytes) -> None:
    fit = suture.verify_module(module, target)
    (place,) = fit.functions
    assert (place.objname, place.function, place.sympos) == ("vmlinux", "version_proc_show", 0)
    listing = target.kallsyms.read_text().splitlines()
    address = next(line.split()[0] for line in listing if line.endswith(" version_proc_show"))
    assert place.address == int(address, 16)
    assert "linux_proc_banner" in {symbol.name for symbol in fit.symbols}


CHANGED = {
    "function-not-in-kernel": (b"version_proc_show\0", b"version_proc_shoe\0"),
    "symbol-not-found": (b"vmlinux.linux_proc_banner,0", b"vmlinux.linux_proc_bunner,0"),
}


@pytest.mark.parametrize("code", CHANGED)
def test_a_module_that_names_what_is_not_there_is_refused(
    target: Target, module: bytes, code: str
) -> None:
    old, new = CHANGED[code]
    assert old in module
    with pytest.raises(Refusal) as refused:
        suture.verify_module(module.replace(old, new), target)
    assert refused.value.code == code


def test_a_module_for_another_kernel_is_refused(ibt_target: Target, module: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        suture.verify_module(module, ibt_target)
    assert refused.value.code == "wrong-release"


def test_a_module_with_another_version_of_a_symbol_is_refused(
    target: Target, module: bytes
) -> None:
    known = versions.read(reader.read(module, "fix.ko"))
    assert known is not None
    entry = struct.pack("<Q56s", known["seq_printf"], b"seq_printf")
    assert module.count(entry) == 1
    damaged = module.replace(entry, struct.pack("<Q56s", 0x01020304, b"seq_printf"))
    with pytest.raises(Refusal) as refused:
        suture.verify_module(damaged, target)
    assert refused.value.where.endswith("seq_printf")
    shows(refused.value, "symbol-version-differs")


def test_a_module_of_another_configuration_is_refused(target: Target, module: bytes) -> None:
    assert b" SMP preempt " in module
    with pytest.raises(Refusal) as refused:
        suture.verify_module(module.replace(b" SMP preempt ", b" SMP preempp "), target)
    shows(refused.value, "vermagic-differs")


def test_what_is_wrong_is_all_told_at_once(target: Target, module: bytes) -> None:
    damaged = module
    for old, new in CHANGED.values():
        damaged = damaged.replace(old, new)
    obj = reader.read(damaged, "fix.ko")
    found = examine(obj, "fix.ko", Kernel(target))
    assert [refusal.code for refusal in found.refusals] == list(CHANGED)
    assert found.functions[0].address is None
