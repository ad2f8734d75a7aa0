# SPDX-License-Identifier: GPL-2.0-or-later
"""What keeps a shell or a test from being started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.kernel.release import Target
from suture.lab import initramfs
from suture.lab.livepatch import TrialPlan, try_out
from suture.lab.shell import ShellPlan, can_share, shared, shell
from suture.model import LivePatch
from tests.examples import shows

NOTHING = Path("/nonexistent")


def target(root: Path, *builtin: str) -> Target:
    (root / "modules.builtin").write_text("".join(f"kernel/{name}.ko\n" for name in builtin))
    made = Target("6.1.0-toy", "", NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, root, NOTHING)
    return replace(made, vmlinux=initramfs.BUSYBOX)  # says for which architecture


def test_a_kernel_without_the_drivers_has_no_shell(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        shell(target(tmp_path, "virtio_pci"), ShellPlan())
    shows(refused.value, "lab-driver-missing")


def test_a_kernel_without_9p_has_no_shared_directory(tmp_path: Path) -> None:
    wired = target(tmp_path, "virtio_pci", "virtio_console")
    assert not can_share(wired)
    with pytest.raises(Refusal, match="9p") as refused:
        shell(wired, ShellPlan(share=shared(tmp_path, writable=True)))
    assert refused.value.code == "lab-driver-missing"
    assert can_share(target(tmp_path, "9p", "9pnet_virtio"))


def test_what_is_no_directory_cannot_be_shared(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="is not a directory") as refused:
        shared(tmp_path / "none", writable=False)
    assert refused.value.code == "file-unreadable"


def test_a_live_patch_that_stays_has_one_round(tmp_path: Path) -> None:
    patch = LivePatch("livepatch_fix", (), stays=("hands out an address",))
    with pytest.raises(Refusal) as refused:
        try_out(target(tmp_path), b"", patch, TrialPlan(rounds=3))
    shows(refused.value, "lab-stays-in-memory")
