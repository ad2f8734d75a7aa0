# SPDX-License-Identifier: GPL-2.0-or-later
"""What a second kernel of a series costs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import second_kernel
from bench.measure import Run
from bench.second_kernel import KernelCost, SecondKernel
from suture.errors import Refusal


def offers(*releases: str) -> Any:
    return [SimpleNamespace(release=release) for release in releases]


def test_the_pair_is_of_one_series_and_flavour() -> None:
    found = offers(
        "6.12.117+deb12-amd64",
        "6.1.0-56-amd64",
        "6.1.0-56-cloud-amd64",
        "6.1.0-55-rt-amd64",
        "6.1.0-55-amd64",
        "6.1.0-54-amd64",
    )
    pair = second_kernel._newest_two(found, "6.1")
    assert [offer.release for offer in pair] == ["6.1.0-56-amd64", "6.1.0-55-amd64"]
    with pytest.raises(Refusal, match="kernel-not-offered"):
        second_kernel._newest_two(found, "6.12")


def test_the_ratios_are_of_both_steps() -> None:
    first = KernelCost("6.1.0-50-amd64", Run(10, 20), Run(30, 40), 2000)
    second = KernelCost("6.1.0-55-amd64", Run(8, 10), Run(2, 20), 500)
    assert SecondKernel(first, second, Run(3, 15)).ratios == {
        "cpu": 0.5,
        "wall": 0.25,
        "disk": 0.25,
        "prepare_cpu": 0.5,
        "floor_cpu": 0.25,
    }


def test_a_shared_file_counts_once(tmp_path: Path) -> None:
    assert second_kernel._on_disk(tmp_path) == 0
    for name in ("kernels", "workspaces"):
        (tmp_path / name).mkdir()
    empty = second_kernel._on_disk(tmp_path)
    (tmp_path / "kernels/vmlinux").write_bytes(bytes(1 << 20))
    once = second_kernel._on_disk(tmp_path)
    assert once - empty >= 1 << 20
    os.link(tmp_path / "kernels/vmlinux", tmp_path / "workspaces/vmlinux")
    assert second_kernel._on_disk(tmp_path) == once


def test_work_in_the_background_is_seen(tmp_path: Path) -> None:
    (tmp_path / "workspaces").mkdir()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, cwd=tmp_path / "workspaces") as process:
        assert second_kernel._works_below(tmp_path)
        process.kill()
    assert not second_kernel._works_below(tmp_path)
