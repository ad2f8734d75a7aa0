# SPDX-License-Identifier: GPL-2.0-or-later
"""What counting calls does where the kernel does not let it; the lab counts on real kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.core.coverage import TRACING, coverage
from suture.errors import Refusal
from tests.examples import shows


def refused(root: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        coverage((), 0, root)
    return caught.value


def test_a_kernel_that_shows_no_tracefs_is_named(tmp_path: Path) -> None:
    refusal = refused(tmp_path)
    shows(refusal, "tracing-unavailable")
    assert "tracefs is not mounted" in refusal.found


def test_a_kernel_without_kprobe_events_is_named(tmp_path: Path) -> None:
    tracing = tmp_path / TRACING
    tracing.mkdir(parents=True)
    (tracing / "enabled_functions").touch()
    assert "CONFIG_KPROBE_EVENTS" in refused(tmp_path).found
    (tracing / "kprobe_events").touch()
    refusal = refused(tmp_path)  # its instances/ is missing
    assert refusal.code == "tracing-unavailable"
    assert "instances" in refusal.where
