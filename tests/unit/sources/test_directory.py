# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.kernel import image, kallsyms
from suture.sources.directory import from_directory
from tests.examples import shows
from tests.unit.conftest import RELEASE


@pytest.fixture
def built(tmp_path: Path, toy_kernel: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directory = tmp_path / "linux"
    (directory / "include/config").mkdir(parents=True)
    (directory / "include/config/kernel.release").write_text(f"{RELEASE}\n")
    (directory / ".config").write_text("CONFIG_LIVEPATCH=y\n")
    (directory / "Module.symvers").write_text("0x1\t_printk\tvmlinux\tEXPORT_SYMBOL\t\n")
    shutil.copy(toy_kernel, directory / "vmlinux")
    return directory


def test_a_built_tree_is_a_target(built: Path) -> None:
    target = from_directory(built)
    assert target.release == RELEASE
    assert target.version == ""
    assert target.source == target.modules == built
    assert target.config == built / ".config"
    assert image.read(target.vmlinux).release == RELEASE
    assert len(kallsyms.read(target.kallsyms).named("same")) == 2


def test_the_tree_is_not_written_to(built: Path) -> None:
    before = sorted(built.rglob("*"))
    from_directory(built)
    assert sorted(built.rglob("*")) == before


def test_a_tree_that_is_built_again_is_read_again(built: Path) -> None:
    first = from_directory(built)
    (built / "vmlinux").write_bytes((built / "vmlinux").read_bytes() + b"\0")
    assert from_directory(built).kallsyms != first.kallsyms


@pytest.mark.parametrize(
    "part", [".config", "Module.symvers", "include/config/kernel.release", "vmlinux"]
)
def test_a_part_that_is_missing_is_named(built: Path, part: str) -> None:
    (built / part).unlink()
    with pytest.raises(Refusal) as refusal:
        from_directory(built)
    assert refusal.value.code == "tree-incomplete"
    assert part in refusal.value.found


def test_a_directory_that_is_no_tree_is_refused(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(Refusal) as refusal:
            from_directory(directory)
        assert refusal.value.code == "tree-incomplete"


def test_an_image_of_another_release_is_refused(built: Path) -> None:
    (built / "include/config/kernel.release").write_text("6.1.0-other\n")
    with pytest.raises(Refusal, match=r"6\.1\.0-other") as refusal:
        from_directory(built)
    shows(refusal.value, "tree-incomplete")


def test_a_stripped_vmlinux_without_an_image_is_refused(
    built: Path, stripped_kernel: bytes
) -> None:
    (built / "vmlinux").write_bytes(stripped_kernel)
    with pytest.raises(Refusal, match="symbol table") as refusal:
        from_directory(built)
    assert refusal.value.code == "tree-incomplete"


def test_a_damaged_boot_image_is_refused(built: Path) -> None:
    (built / "arch/x86/boot").mkdir(parents=True)
    (built / "arch/x86/boot/bzImage").write_bytes(b"not an image")
    with pytest.raises(Refusal) as refusal:
        from_directory(built)
    shows(refusal.value, "image-malformed")
    assert not list(built.parent.glob("cache/**/vmlinux"))
