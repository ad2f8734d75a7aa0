# SPDX-License-Identifier: GPL-2.0-or-later
"""How the accelerator is chosen, where that needs no boot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from suture.arch.x86_64.virtual_machine import VIRTUAL_MACHINE as PLATFORM
from suture.errors import Refusal
from suture.host import paths
from suture.lab import accel, qemu
from suture.lab.qemu import Accelerator


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = paths.cache() / "lab" / "accelerator.json"
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of /dev/kvm that can be opened and is no KVM."""
    path = tmp_path / "kvm"
    path.touch()
    monkeypatch.setattr(accel, "DEVICE", path)
    return path


def test_without_a_device_the_guest_is_emulated_and_nothing_is_recorded(
    record: Path, device: Path
) -> None:
    device.unlink()
    assert accel.choose(Path("/nonexistent"), PLATFORM) is Accelerator.TCG
    assert not record.exists()


@pytest.mark.parametrize("known", list(Accelerator))
def test_what_was_found_since_this_boot_is_not_tried_again(
    record: Path, device: Path, known: Accelerator
) -> None:
    key = f"{accel.BOOT_ID.read_text().strip()} {qemu.version(PLATFORM.program)}"
    record.write_text(json.dumps({"key": key, "accelerator": known.value}))
    assert accel.choose(Path("/nonexistent"), PLATFORM) is known


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", "null", '{"key": "another boot", "accelerator": "kvm"}', "\xff"],
)
def test_an_outdated_or_damaged_record_is_tried_again(
    record: Path, device: Path, content: str
) -> None:
    record.write_text(content)
    assert (
        accel.choose(Path("/nonexistent"), PLATFORM) is Accelerator.TCG
    )  # QEMU cannot even read that image
    assert json.loads(record.read_text())["accelerator"] == "tcg"


def test_without_qemu_the_choice_is_refused(
    record: Path, device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Refusal) as refusal:
        accel.choose(Path("/nonexistent"), PLATFORM)
    assert refusal.value.code == "tool-missing"
