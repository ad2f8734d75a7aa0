# SPDX-License-Identifier: GPL-2.0-or-later
"""A host follows a repository: what it loads, keeps, takes out, and what it waits for."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from suture.errors import ANOTHER_AT_WORK, TRANSITION_TIMED_OUT, Refusal
from suture.repo import documents
from suture.repo.choice import place
from suture.repo.publishing import Accompaniment
from tests.examples import shows
from tests.unit.repo.site import Site, ToyHost, codes, fix
from tests.web import served

BUILD = {name: f"{number:040x}" for number, name in enumerate(("first", "second", "third"), 1)}


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site.make(tmp_path_factory.mktemp("site"))
    for number, name in enumerate(BUILD, 1):
        made.publish(fix(name, build=number))
    return made


@pytest.fixture
def site(begun: Site, tmp_path: Path) -> Site:
    return begun.copy(tmp_path / "repository")


@pytest.fixture
def host(tmp_path: Path) -> ToyHost:
    return ToyHost(tmp_path / "host")


def kept(host: ToyHost) -> list[str]:
    return sorted(host.kept())


def test_nothing_is_loaded_before_the_ring_has_chosen(site: Site, host: ToyHost) -> None:
    outcome = host.follow(site)
    assert (outcome.loaded, outcome.refusals, outcome.report.offered) == ("", (), "")
    assert host.asked == []


def test_what_the_ring_chooses_is_loaded_and_installed_once(site: Site, host: ToyHost) -> None:
    site.promote("first")
    assert host.follow(site, dry=True).would_load == "first"
    assert host.in_force() == {}
    assert host.follow(site).loaded == "first"
    assert (host.in_force(), kept(host)) == ({"first": BUILD["first"]}, ["first"])
    again = host.follow(site)
    assert (again.loaded, again.report.waits, again.report.error) == ("", "", "")
    assert host.asked == ["load first"]


def test_another_ring_is_another_choice(site: Site, host: ToyHost) -> None:
    site.promote("first")
    assert host.follow(site, ring="all").loaded == ""
    site.promote("second", "all")
    assert host.follow(site, ring="all").loaded == "second"


def test_a_ring_that_is_not_there_is_refused(site: Site, host: ToyHost) -> None:
    outcome = host.follow(site, ring="nosuch")
    text = str(outcome.refusals[0]).replace(f"file://{site.path}", "https://patches.example.org")
    shows(text, "ring-unknown")


def test_the_next_choice_takes_the_place_of_the_one_before(site: Site, host: ToyHost) -> None:
    site.promote("first")
    host.follow(site)
    site.promote("second")
    assert host.follow(site).loaded == "second"
    assert (list(host.in_force()), kept(host)) == (["second"], ["second"])


def test_what_is_withdrawn_is_taken_out_of_force_and_of_the_next_boot(
    site: Site, host: ToyHost
) -> None:
    site.promote("first")
    host.follow(site)
    site.withdraw("first")
    outcome = host.follow(site)
    assert (outcome.unloaded, outcome.report.waits) == (("first",), "withdrawn")
    assert "it is wrong" in outcome.report.why
    assert (host.in_force(), kept(host)) == ({}, [])
    assert host.follow(site).unloaded == ()


@pytest.mark.parametrize("is_withdrawn", [True, False], ids=["withdrawn", "none chosen"])
def test_what_is_installed_and_not_in_force_is_not_left_for_the_next_boot(
    site: Site, host: ToyHost, is_withdrawn: bool
) -> None:
    site.promote("first")
    host.follow(site)
    host.unload("first")
    site.withdraw("first") if is_withdrawn else site.promote(None)
    assert host.follow(site).refusals == ()
    assert kept(host) == []
    host.reboot()
    assert host.in_force() == {}


def test_what_was_withdrawn_gives_way_to_the_choice_before(site: Site, host: ToyHost) -> None:
    for name in ("first", "second"):
        site.promote(name)
        host.follow(site)
    site.withdraw("second")
    outcome = host.follow(site)
    assert outcome.loaded == "first"
    assert (list(host.in_force()), kept(host)) == (["first"], ["first"])


def test_a_ring_that_chooses_none_takes_its_live_patch_back(site: Site, host: ToyHost) -> None:
    site.promote("first")
    host.follow(site)
    site.promote(None)
    assert host.follow(site).unloaded == ("first",)
    assert (host.in_force(), kept(host)) == ({}, [])


def test_a_ring_goes_back_to_an_older_one(site: Site, host: ToyHost) -> None:
    for name in ("first", "second", "first"):
        site.promote(name, replace=True)
        assert host.follow(site).loaded == name
    assert kept(host) == ["first"]


def test_the_share_of_a_ring_says_which_hosts_load_it(site: Site, tmp_path: Path) -> None:
    site.promote("first")
    site.promote("second", share=4_000, salt="s")
    hosts = [ToyHost(tmp_path / str(number), machine_id=str(number)) for number in range(8)]
    for host in hosts:
        host.follow(site)
    early = {host.machine_id for host in hosts if "second" in host.in_force()}
    assert early == {host.machine_id for host in hosts if place(host.machine_id, "s") < 4_000}
    assert 0 < len(early) < 8
    late = next(host for host in hosts if host.machine_id not in early)
    outcome = late.follow(site)
    assert (outcome.report.waits, list(late.in_force())) == ("share", ["first"])
    site.promote("second")
    for host in hosts:
        host.follow(site)
        assert list(host.in_force()) == ["second"]


def test_a_choice_that_never_came_to_all_is_not_what_the_others_go_back_to(
    site: Site, tmp_path: Path
) -> None:
    late, early = ToyHost(tmp_path / "late"), ToyHost(tmp_path / "early")
    site.promote("first")
    late.follow(site)
    site.promote("second")
    early.follow(site)
    site.halt()
    site.promote("third", share=0)
    assert late.follow(site).report.waits == "share"
    assert early.follow(site).report.waits == "share"
    assert (list(late.in_force()), list(early.in_force())) == (["first"], ["second"])
    new = ToyHost(tmp_path / "new")
    assert new.follow(site).loaded == "first"
    site.withdraw("second")
    assert early.follow(site).loaded == "first"


def test_places_are_spread_evenly() -> None:
    places = [place(f"{number:032x}", "salt") for number in range(10_000)]
    assert all(0 <= one < 10_000 for one in places)
    assert 400 < sum(one < 500 for one in places) < 600


def test_a_halt_stops_hosts_that_do_not_have_it_yet(site: Site, tmp_path: Path) -> None:
    early, late = ToyHost(tmp_path / "early"), ToyHost(tmp_path / "late")
    site.promote("first")
    early.follow(site)
    site.halt()
    assert early.follow(site).report.waits == ""
    assert late.follow(site).report.waits == "halted"
    assert (list(early.in_force()), late.in_force()) == (["first"], {})
    site.halt(False)
    assert late.follow(site).loaded == "first"


def test_a_halt_that_comes_during_the_download_counts(
    site: Site, host: ToyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suture.repo.client import Consultation

    site.promote("first")
    download = Consultation.module

    def then_halted(self: Consultation, patch: documents.PublishedPatch) -> bytes:
        content = download(self, patch)
        site.halt()
        return content

    monkeypatch.setattr(Consultation, "module", then_halted)
    outcome = host.follow(site)
    assert (outcome.loaded, outcome.report.waits, host.asked) == ("", "halted", [])


def test_times_are_waited_for(site: Site, host: ToyHost) -> None:
    later = documents.now() + timedelta(hours=1)
    site.promote("first", not_before=later)
    assert host.follow(site).report.waits == "not-before"
    site.promote("first")
    assert host.follow(site, delay=timedelta(hours=1)).report.waits == "delay"
    assert host.follow(site).loaded == "first"


def test_a_host_on_hold_changes_nothing_and_says_so(site: Site, host: ToyHost) -> None:
    from dataclasses import replace

    site.promote("first")
    host.follow(site)
    site.withdraw("first")
    host.file.write(replace(host.file.read(), hold="2026-01-01: a fair"))
    outcome = host.follow(site)
    assert (outcome.unloaded, outcome.report.waits) == ((), "held")
    assert "withdrawn" in outcome.report.why
    host.file.write(replace(host.file.read(), hold=""))
    assert host.follow(site).unloaded == ("first",)


def test_a_pinned_host_stays_until_its_live_patch_is_withdrawn(site: Site, host: ToyHost) -> None:
    from dataclasses import replace

    host.file.write(replace(host.file.read(), pin="first"))
    site.promote("second")
    assert host.follow(site).loaded == "first"
    assert host.follow(site).report.waits == "pinned"
    site.withdraw("first")
    assert host.follow(site).loaded == "second"


def test_what_fails_is_set_aside_until_another_is_offered(site: Site, host: ToyHost) -> None:
    host.refusing["first"] = Refusal(TRANSITION_TIMED_OUT, "first", "3 tasks did not switch")
    site.promote("first")
    outcome = host.follow(site)
    assert codes(outcome) == ["transition-timed-out"]
    host.refusing.clear()
    again = host.follow(site)
    assert (again.report.waits, host.asked) == ("set-aside", ["load first"])
    assert "3 tasks" in again.report.why
    site.promote("second")
    assert host.follow(site).loaded == "second"
    assert host.file.read().aside is not None, "it is the one to go back to"
    site.promote("third")
    assert host.follow(site).loaded == "third"
    assert host.file.read().aside is None


def test_what_was_not_its_fault_is_tried_again(site: Site, host: ToyHost) -> None:
    host.refusing["first"] = Refusal(ANOTHER_AT_WORK, "process 1", "load other")
    site.promote("first")
    assert codes(host.follow(site)) == ["another-at-work"]
    host.refusing.clear()
    assert host.follow(site).loaded == "first"


def test_one_that_cannot_take_over_leaves_the_one_before(site: Site, host: ToyHost) -> None:
    site.publish(fix("lossy", build=7))
    site.promote("first")
    host.follow(site)
    site.promote("lossy")
    assert codes(host.follow(site)) == ["earlier-fix-lost"]
    assert (list(host.in_force()), kept(host)) == (["first"], ["first"])


def test_what_was_withdrawn_goes_even_if_nothing_can_take_its_place(
    site: Site, host: ToyHost
) -> None:
    for name in ("first", "second"):
        site.promote(name)
        host.follow(site)
    host.refusing["first"] = Refusal(TRANSITION_TIMED_OUT, "first", "3 tasks did not switch")
    site.withdraw("second")
    assert host.follow(site).unloaded == ("second",)
    assert host.in_force() == {}


def test_what_cannot_be_unloaded_is_tried_again(site: Site, host: ToyHost) -> None:
    site.promote("first")
    host.follow(site)
    site.withdraw("first")
    host.refusing["unload first"] = Refusal(TRANSITION_TIMED_OUT, "first", "1 task did not")
    assert codes(host.follow(site)) == ["transition-timed-out"]
    assert (list(host.in_force()), kept(host)) == (["first"], [])
    host.refusing.clear()
    assert host.follow(site).unloaded == ("first",)


def test_a_host_that_went_down_with_it_twice_leaves_it(site: Site, host: ToyHost) -> None:
    class Down(BaseException):
        pass

    site.promote("first")
    load = host.load

    def down(module: bytes, where: str, *, replace: bool) -> None:
        raise Down

    for _ in range(2):
        host.load = down  # type: ignore[method-assign]
        with pytest.raises(Down):
            host.follow(site)
        host.reboot()
    host.load = load  # type: ignore[method-assign]
    outcome = host.follow(site)
    assert (outcome.loaded, outcome.report.waits) == ("", "set-aside")
    aside = host.file.read().aside
    assert aside is not None
    shows(aside.found, "load-died")


def test_a_live_patch_that_the_store_loaded_at_boot_is_known(site: Site, host: ToyHost) -> None:
    site.promote("first")
    host.follow(site)
    host.reboot()
    assert host.follow(site).report.waits == ""
    site.withdraw("first")
    assert host.follow(site).unloaded == ("first",)


def test_without_at_boot_nothing_is_installed(site: Site, host: ToyHost) -> None:
    site.promote("first")
    assert host.follow(site, at_boot=False).loaded == "first"
    assert kept(host) == []
    assert host.follow(site).loaded == ""
    assert kept(host) == ["first"]


def test_another_kernel_has_nothing_of_it(site: Site, host: ToyHost) -> None:
    site.promote("first")
    host.release = "6.1.0-10-amd64"
    outcome = host.follow(site)
    assert (outcome.loaded, outcome.report.offered, outcome.refusals) == ("", "", ())


def test_the_report_says_what_is_covered_and_until_when(site: Site, host: ToyHost) -> None:
    site.publish(fix("fourth", build=4), beside=Accompaniment(reboot_by="2030-01-31"))
    site.promote("fourth")
    report = host.follow(site).report
    assert (report.offered, report.covered_until) == ("fourth", "2030-01-31")
    assert report.signed <= report.when < report.expires


def test_two_runs_at_a_time_are_one_too_many(site: Site, host: ToyHost) -> None:
    from suture.repo.follow import held

    with held(host.directory / "follow.lock"), pytest.raises(Refusal) as refusal:
        host.follow(site)
    assert refusal.value.code == "another-at-work"


def test_a_proxy_that_the_settings_or_the_environment_name_is_used(
    site: Site, host: ToyHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.promote("first")
    url = "http://127.0.0.1:9/"
    with served(site.path) as proxy:
        assert host.follow(url, root=site.root, proxy=proxy).loaded == "first"
        other = ToyHost(tmp_path / "other")
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("no_proxy", "")
        assert other.follow(url, root=site.root).loaded == "first"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert codes(other.follow(url, root=site.root)) == ["repository-unreachable"]
