# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel answers when somebody else was quicker; tests/lab/test_core.py unloads for
real."""

from __future__ import annotations

import errno
import os

import pytest

from suture.core import unload
from suture.core.livepatch import LivepatchCore
from suture.core.patches import LoadedPatch
from suture.errors import Refusal

LOADED = LoadedPatch("livepatch_fix", True, False, None, None, ())


def answer(monkeypatch: pytest.MonkeyPatch, number: int) -> list[tuple[str, bool]]:
    """Let the kernel refuse to take the patch out; returns what it is asked."""
    asked: list[tuple[str, bool]] = []

    def refuse(self: LivepatchCore, name: str, enabled: bool) -> None:
        asked.append((name, enabled))
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(LivepatchCore, "read", lambda self, name: LOADED)
    monkeypatch.setattr(LivepatchCore, "set_enabled", refuse)
    return asked


def test_another_transition_that_has_just_begun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, errno.EBUSY)
    with pytest.raises(Refusal) as refusal:
        unload._begin("livepatch_fix")
    assert refusal.value.code == "transition-under-way"


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOENT, errno.ENODEV])
def test_one_that_is_on_its_way_out_already_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    asked = answer(monkeypatch, number)
    unload._begin("livepatch_fix")
    assert asked == [("livepatch_fix", False)]
