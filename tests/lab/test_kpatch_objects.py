# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules made for kpatch's own core, linked anew and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.part import Cut
from suture.builder.source_diffs import parts_of_diffs
from suture.elf import reader
from suture.errors import Refusal
from suture.formats.diff import PatchSource, parse
from suture.formats.recognise import Format
from suture.kernel.release import Target
from suture.model import VMLINUX
from suture.verify.kernel import Kernel
from suture.workspace.prepare import Workspace
from tests.kpatch_objects import as_kpatch_object
from tests.lab.guest import Guest
from tests.lab.test_kpatch import (
    DATA_CHANGED_AND_PUT_BACK,
    DEPTH,
    FEATURES,
    OF_A_MODULE,
    PANIC,
    said,
)
from tests.patches import Edit, diff


class Maker:
    """From edits to what kpatch-build would have made of them."""

    def __init__(self, target: Target, workspace: Workspace) -> None:
        self.kernel = Kernel(target)
        self._workspace = workspace

    def cuts(self, *edits: Edit) -> list[Cut]:
        source = PatchSource((parse("fix.patch", diff(self._workspace.tree, *edits).encode()),))
        return list(parts_of_diffs(source, self.kernel, self._workspace).cuts)

    def address_of(self, objname: str, name: str, sympos: int) -> int:
        return self.kernel.vmlinux.addresses(name)[max(sympos - 1, 0)] if objname == VMLINUX else 0

    def file(self, cut: Cut, release: str | None = None, *, intermediate: bool = False) -> bytes:
        made_for = self.kernel.target.release if release is None else release
        return as_kpatch_object(cut, made_for, self.address_of, intermediate=intermediate)


@pytest.fixture(scope="session")
def maker(each_target: Target, each_workspace: Workspace) -> Maker:
    return Maker(each_target, each_workspace)


@pytest.mark.parametrize("intermediate", [False, True], ids=["module", "intermediate"])
def test_code_and_callbacks_of_the_core_kernel(
    maker: Maker, each_target: Target, each_guest: Guest, tmp_path: Path, intermediate: bool
) -> None:
    (cut,) = maker.cuts(*DATA_CHANGED_AND_PUT_BACK)
    old = tmp_path / "old.ko"
    old.write_bytes(maker.file(cut, "" if intermediate else None, intermediate=intermediate))
    built = build([old], each_target, output=tmp_path / "anew.ko", name="anew")
    assert [one.format for one in built.inputs] == [Format.KPATCH_OBJECT]
    assert [
        (function.old_name, function.sympos) for function in built.patch.objects[0].functions
    ] == list(cut.functions)
    started = len(each_guest.machine.kernel_log())
    each_guest.load(built)
    assert each_guest.sh("cut -d' ' -f1 /proc/version") == "Sutured\n"
    assert each_guest.sh(PANIC) == "42\n0\n"
    assert said(each_guest, started) == ["pre core -1", "post"]
    each_guest.unload(built)
    assert each_guest.sh(f"{PANIC}; cut -d' ' -f1 /proc/version") == "-1\n0\nLinux\n"


def test_code_and_callbacks_of_a_module_that_comes_later(
    maker: Maker, each_target: Target, each_guest: Guest, tmp_path: Path
) -> None:
    (cut,) = maker.cuts(*OF_A_MODULE)
    old = tmp_path / "old.ko"
    old.write_bytes(maker.file(cut))
    built = build([old], each_target, output=tmp_path / "later.ko", name="later")
    each_guest.load(built)
    each_guest.sh("modprobe null_blk nr_devices=0")
    assert each_guest.sh(f"{FEATURES}; {DEPTH}") == "sutured\n77\n"
    each_guest.sh("rmmod null_blk")
    each_guest.unload(built)


def test_one_for_another_kernel_is_refused(
    maker: Maker, each_target: Target, tmp_path: Path
) -> None:
    (cut,) = maker.cuts(*DATA_CHANGED_AND_PUT_BACK)
    old = tmp_path / "old.ko"
    for release, address, found in (("6.1.0-1-toy", 0, "is for 6.1.0-1-toy"), (None, 16, "was at")):
        data = as_kpatch_object(
            *(cut, each_target.release if release is None else release),
            lambda *symbol: maker.address_of(*symbol) + address,  # noqa: B023
        )
        reader.read(data, "old.ko")
        old.write_bytes(data)
        with pytest.raises(Refusal) as refused:
            build([old], each_target, output=tmp_path / "x.ko", name="x")
        assert refused.value.code == "kpatch-object-foreign"
        assert found in refused.value.found
