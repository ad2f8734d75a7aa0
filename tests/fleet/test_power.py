# SPDX-License-Identifier: GPL-2.0-or-later
"""A host that dies at any moment of a run, by a kill or by a power cut, and those who publish
likewise."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suture.repo import roles
from suture.repo.overview import overview
from suture.repo.roles import RoleChange
from tests.unit.core import test_store
from tests.unit.core.test_store import disk_full, dying, kill
from tests.unit.repo.site import Site, ToyHost, fix

EVERY = os.environ.get("SUTURE_SERIES") == "all"
"""Whether runs end before every change of a file.  What can be told apart afterwards are the names
that there are, so by default they end where a new file takes its name."""


@pytest.fixture(autouse=True)
def moments(monkeypatch: pytest.MonkeyPatch) -> None:
    if not EVERY:
        monkeypatch.setattr(test_store, "CHANGING", ("rename",))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site.make(tmp_path_factory.mktemp("site"))
    made.publish(fix("first", build=1))
    made.publish(fix("second", build=2))
    made.promote("first")
    return made


@pytest.fixture
def site(begun: Site, tmp_path: Path) -> Site:
    return begun.copy(tmp_path / "repository")


def replaced(site: Site) -> None:
    site.promote("second")


def withdrawn(site: Site) -> None:
    site.withdraw("first")


RUNS: dict[str, tuple[bool, Callable[[Site], object], list[str]]] = {
    "the first load": (False, lambda site: None, ["first"]),
    "a replacement": (True, replaced, ["second"]),
    "a withdrawal": (True, withdrawn, []),
}
"""Whether the host has the first one, what changes, and what is in force in the end."""


def hosts(
    site: Site, tmp_path: Path, run: str, how: Callable[[], object]
) -> Iterator[tuple[ToyHost, int]]:
    """A host for each moment at which a run ends, with the child's status; until it is not."""
    has_first, change, _ = RUNS[run]
    begin = ToyHost(tmp_path / "begin")
    if has_first:
        begin.follow(site)
    change(site)
    for at in range(1, 400):
        os.system(f"cp -a {begin.directory} {tmp_path}/{at}")
        host = ToyHost(tmp_path / str(at))
        status = dying(lambda host=host: host.follow(site), at, how)  # type: ignore[misc]
        yield host, status
        if status == 0:
            return
    raise AssertionError("it never ends")


@pytest.mark.parametrize("is_power_cut", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("run", RUNS)
def test_the_next_run_goes_on_from_wherever_one_was_cut_short(
    site: Site, tmp_path: Path, run: str, is_power_cut: bool
) -> None:
    wanted, count = RUNS[run][2], 0
    for host, status in hosts(site, tmp_path, run, kill):
        assert status == 0 or os.WTERMSIG(status) == signal.SIGKILL
        count += 1
        assert [found.refusal for found in host.store.check() if found.refusal] == []
        if is_power_cut:
            host.reboot()
        assert len(host.in_force()) <= 1
        outcome = host.follow(site)
        assert outcome.refusals == ()
        assert (list(host.in_force()), list(host.kept())) == (wanted, wanted)
        assert host.file.read().attempt is None
        host.reboot()
        assert list(host.in_force()) == wanted
    assert count > 3


def test_a_disk_that_is_full_at_any_moment_leaves_no_half_state(site: Site, tmp_path: Path) -> None:
    for host, status in hosts(site, tmp_path, "a replacement", disk_full):
        assert os.waitstatus_to_exitcode(status) in (0, 3, 4, 5)
        assert [found.refusal for found in host.store.check() if found.refusal] == []
        host.follow(site)
        assert (list(host.in_force()), list(host.kept())) == (["second"], ["second"])


def new_root(site: Site) -> None:
    signers = site.signers("root1", "root2", "other", "online")
    for role in ("snapshot", "timestamp"):
        change = RoleChange(add=(site.public("other"),), remove=(site.public("online").keyid,))
        if site.tree.published().version("root") == 1:
            roles.propose(site.tree, role, change)
    roles.sign_staged(site.tree, signers[:3])


ACTS: dict[str, tuple[Callable[[Site], object], tuple[str, ...]]] = {
    "publish": (lambda site: site.publish(fix("third", build=3)), ("online",)),
    "withdraw": (lambda site: site.withdraw("second"), ("online",)),
    "promote": (lambda site: site.promote("second"), ("online",)),
    "a new root": (new_root, ("other",)),
}


@pytest.mark.parametrize("act", ACTS)
def test_what_is_published_is_as_before_or_as_it_was_to_be(
    begun: Site, tmp_path: Path, act: str
) -> None:
    do, online = ACTS[act]
    seen: list[str] = []
    for at in range(1, 200):
        site = begun.copy(tmp_path / str(at))
        status = dying(lambda site=site: do(site), at, kill)  # type: ignore[misc]
        host = ToyHost(tmp_path / f"host-{at}")
        outcome = host.follow(site)
        state = site.tree.published()
        # A new root stands by itself; the timestamp follows when its key signs again.
        is_between = act == "a new root" and state.version("root") == 2
        assert is_between or outcome.refusals == ()
        overview(site.tree)
        if is_between or not outcome.refusals:
            keys = online if state.version("root") == 2 else ("online",)
            roles.renew(site.tree, [], site.signers(*keys))
            assert host.follow(site).refusals == ()
        seen.append(outcome.report.offered)
        if status == 0:
            break
    assert len(seen) > 2
