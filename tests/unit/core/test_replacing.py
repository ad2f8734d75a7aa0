# SPDX-License-Identifier: GPL-2.0-or-later
"""What a live patch would do to those before it, said before it is done; tests/lab/test_core.py
has a whole kernel."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from suture.cli.load import forecast_document, forecast_lines
from suture.cli.unload import summary
from suture.core import installing, replacing, system_hooks, units
from suture.core.change import Options
from suture.core.forecast import LoadForecast, forecast
from suture.core.livepatch import LivepatchCore
from suture.core.store import Store
from suture.core.unload import Unloaded
from suture.errors import Refusal
from suture.model import LivePatch, PatchedFunction, PatchedObject
from tests.examples import shows
from tests.unit.core.test_checks import FINE
from tests.unit.core.test_reading import patch as kernels_patch
from tests.unit.core.test_reading import put
from tests.unit.module.test_staying import MODULE
from tests.unit.toolchain import compile_c

RELEASE = "6.1.0-9-amd64"
KERNEL = FINE | {
    "proc/sys/kernel/osrelease": RELEASE,
    "proc/kallsyms": "0 t show\n0 t some_function.isra.0\n0 t some_function.isra.0",
}


def live_patch(*functions: tuple[str, int], replace: bool = True) -> LivePatch:
    new = tuple(PatchedFunction(name, sympos, f"new_{name}") for name, sympos in functions)
    return LivePatch("livepatch_new", (PatchedObject("vmlinux", new),), replace=replace)


def module(name: str = "livepatch_fix", function: str = "show", *, replace: bool = True) -> bytes:
    text = MODULE.replace("livepatch_fix", name).replace('"show"', f'"{function}"')
    return compile_c(text.replace("objs };", f"objs, 0, {int(replace)} }};"))


def test_functions_of_those_that_it_replaces_are_lost_unless_it_has_them(tmp_path: Path) -> None:
    before = LivepatchCore(put(tmp_path, kernels_patch("old"))).patches()
    kept = live_patch(("some_function.isra.0", 2), ("show", 0))
    assert replacing.lost_functions(kept, before) == ()
    (shared,) = replacing.shared_functions(kept, before)
    assert str(shared) == "vmlinux:some_function.isra.0() of old"
    other = live_patch(("some_function.isra.0", 1))
    (lost,) = replacing.lost_functions(other, before)
    assert lost.patch == "old"
    assert replacing.lost_functions(live_patch(("show", 0), replace=False), before) == ()


def test_one_that_is_out_of_force_has_nothing_to_lose(tmp_path: Path) -> None:
    before = LivepatchCore(put(tmp_path, kernels_patch("old", enabled="0"))).patches()
    assert replacing.replaced_by(live_patch(("show", 0)), before) == ()
    assert replacing.lost_functions(live_patch(("show", 0)), before) == ()


def test_the_loss_of_an_earlier_fix_is_refused_with_its_functions(tmp_path: Path) -> None:
    before = LivepatchCore(put(tmp_path, kernels_patch("livepatch_first"))).patches()
    with pytest.raises(Refusal) as refusal:
        replacing.refuse_lost(replacing.lost_functions(live_patch(("show", 0)), before), "fix.ko")
    shows(refusal.value, "earlier-fix-lost")
    assert refusal.value.evidence == ("vmlinux:some_function.isra.0() of livepatch_first",)
    assert "--replace" in refusal.value.remedy


def looked(root: Path, data: bytes, *, replace: bool = False) -> LoadForecast:
    return forecast(data, "fix.ko", Options(replace=replace), root)


def test_what_would_happen_is_said_and_nothing_is_done(tmp_path: Path) -> None:
    put(tmp_path, KERNEL | kernels_patch("old"))
    found = looked(tmp_path, module())
    assert [refusal.code for refusal in found.refusals] == ["earlier-fix-lost"]
    assert (found.functions, found.replaces) == (("vmlinux:show",), ("old",))
    text = "\n".join(forecast_lines(found))
    assert text.startswith("livepatch_fix would not be loaded. Nothing has changed.")
    assert "It would take old out of force." in text
    assert "back to the kernel's own code: vmlinux:some_function.isra.0() of old" in text
    assert "error[earlier-fix-lost]" in text
    allowed = looked(tmp_path, module(), replace=True)
    assert allowed.refusals == ()
    assert allowed.lost == found.lost
    assert forecast_lines(allowed)[-1] == "All checks are passed."
    assert forecast_document(allowed)["refusals"] == []


def test_one_on_top_takes_nothing_out_and_says_whose_place_its_code_takes(tmp_path: Path) -> None:
    put(tmp_path, KERNEL | kernels_patch("old"))
    (tmp_path / "sys/kernel/livepatch/old/vmlinux/show,1").mkdir()
    found = looked(tmp_path, module(replace=False))
    assert (found.refusals, found.replaces, found.lost) == ((), (), ())
    lines = forecast_lines(found)
    assert "  replaces vmlinux: show(), in place of the one of old" in lines
    assert lines[0] == "livepatch_fix would come into force. Nothing has changed."


def test_all_that_stands_in_the_way_is_said_at_once(tmp_path: Path) -> None:
    differs = {"proc/sys/kernel/ftrace_enabled": "0", "proc/meminfo": "MemAvailable:  3 kB"}
    put(tmp_path, KERNEL | differs | kernels_patch("old", transition="1"))
    codes = [refusal.code for refusal in looked(tmp_path, module(), replace=True).refusals]
    assert codes == ["ftrace-disabled", "transition-under-way", "memory-short"]
    put(tmp_path, {"proc/sys/kernel/osrelease": "6.1.0-10-amd64"})
    codes = [refusal.code for refusal in looked(tmp_path, module(), replace=True).refusals]
    assert codes == ["wrong-release"], "what else it would find means nothing"


def test_unloading_names_what_is_in_force_still() -> None:
    gone = Unloaded("fix", 1.0, True, "fix")
    assert summary(gone) == "fix is gone: all tasks run the kernel's own code after 1.0 s."
    others = replace(gone, stays=("a() stores b",), in_force=("other",))
    assert summary(others) == "fix is out of force: no task runs its code any more after 1.0 s."


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    (tmp_path / "lib").mkdir(mode=0o755)
    monkeypatch.setattr(units, "ensure", lambda: False)
    monkeypatch.setattr(system_hooks, "enable", lambda: ())
    monkeypatch.setattr(installing, "_as_root", lambda doing: None)
    monkeypatch.setattr("suture.core.lock.held", lambda doing, wait: nullcontext())
    return Store(tmp_path / "lib" / "suture", anchor=tmp_path, owner=os.geteuid())


def install(store: Store, data: bytes, *, replace: bool = False) -> None:
    options = Options(replace=replace, journal=None)
    installing.install(data, "fix.ko", store=store, options=options)


def test_what_a_boot_would_take_out_again_is_not_installed(store: Store) -> None:
    install(store, module("livepatch_first", "first"))
    with pytest.raises(Refusal, match="earlier-fix-lost"):
        install(store, module("livepatch_fix", "show"))
    assert store.names(RELEASE) == ["livepatch_first"]
    install(store, module("livepatch_first", "show"))
    install(store, module("livepatch_fix", "show"))
    install(store, module("livepatch_on_top", "other", replace=False))
    install(store, module("livepatch_fix", "third"), replace=True)
    install(store, module("livepatch_first", "first"))
    assert len(store.names(RELEASE)) == 3
