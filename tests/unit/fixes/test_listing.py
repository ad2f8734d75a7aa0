# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of fixes between two versions, of a toy tree: how it is made, kept, shown and
refused.  `tests.compile.test_fixes` lists those of a real kernel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from suture import sources
from suture.cli import app
from suture.core import running
from suture.errors import Refusal
from suture.fixes import listing, standing
from suture.fixes.listing import ChangedFile, FixList, ListedFix, list_fixes
from suture.fixes.matching import Certainty
from suture.host.paths import cache
from suture.kernel.release import Target
from suture.sources import NewerSource
from tests.examples import shows
from tests.unit.fixes.test_trees import packed
from tests.unit.report.test_html import Page

RELEASE, OLD, NEW = "6.1.0-50-amd64", "6.1.176-1", "6.1.192-1"

BEFORE = f"""\
linux ({OLD}) bookworm; urgency=medium

  * [x86] an old one (CVE-2025-1001)

 -- Somebody <somebody@example.org>  Mon, 2 Nov 2026 10:00:00 +0100
"""
CHANGELOG = f"""\
linux ({NEW}) bookworm-security; urgency=high

  * New upstream stable update:
    https://www.kernel.org/pub/linux/kernel/v6.x/ChangeLog-6.1.192
    - team: fix team_add() (CVE-2026-1001)
    - net: sit: check lengths (CVE-2026-1002,
      CVE-2026-1003)
    - [arm64] clk: foo: mend it (CVE-2026-1004)
    - mm: mend all of it

 -- Somebody <somebody@example.org>  Mon, 23 Nov 2026 10:00:00 +0100

"""

TEXTS = {
    "drivers/net/team/team.c": "int team_add(void)\n{{\n\treturn {0};\n}}\n",
    "net/ipv6/sit.c": "int sit_check(void)\n{{\n\treturn {0};\n}}\n",
    "drivers/clk/foo.c": "int clk_foo = {0};\n",
    "arch/arm64/kernel/foo.c": "int arm = {0};\n",
    "tools/perf/perf.c": "int perf = {0};\n",
    "Makefile": "SUBLEVEL = {0}\n",
}
OBJNAMES = {"drivers/net/team/team.c": ("team",), "net/ipv6/sit.c": ("vmlinux",)}


@dataclass
class ToyOffer:
    """The source of a version."""

    directory: Path
    version: str = NEW
    changelog: str = CHANGELOG + BEFORE
    size: int = 1
    asked: int = 0

    @property
    def name(self) -> str:
        return f"linux-source-6.1 {self.version}"

    def get(self, into: Path) -> NewerSource:
        self.asked += 1
        return NewerSource(source(self.directory / "new.tar.xz", "2"), self.changelog)


class Lookup:
    """Stands for `suture.fixes.objnames.ObjnameLookup`, which asks kbuild."""

    def __init__(self, workspace: object) -> None:
        pass

    def of(self, path: str) -> frozenset[str]:
        return frozenset(OBJNAMES.get(path, ()))


def source(path: Path, value: str) -> Path:
    return packed(path, {name: text.format(value).encode() for name, text in TEXTS.items()})


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    parts = {"vmlinuz", "vmlinux", "kallsyms", "config", "symvers", "modules"}
    nowhere: dict[str, Any] = dict.fromkeys(parts, tmp_path / "nowhere")
    return Target(RELEASE, OLD, source=source(tmp_path / "old.tar.xz", "1"), **nowhere)


@pytest.fixture
def offer(tmp_path: Path, target: Target, monkeypatch: pytest.MonkeyPatch) -> ToyOffer:
    offer = ToyOffer(tmp_path)
    workspace = SimpleNamespace(target=target, environment={"SRCARCH": "x86"})
    monkeypatch.setattr(listing, "prepare", lambda target: workspace)
    monkeypatch.setattr(listing, "ObjnameLookup", Lookup)
    monkeypatch.setattr(sources, "find", lambda release: target)
    monkeypatch.setattr(sources, "source_offers", lambda release, version: (offer,))
    return offer


def test_entries_are_listed_with_the_files_that_they_may_mean(
    target: Target, offer: ToyOffer
) -> None:
    found = list_fixes(target)
    assert (found.release, found.old, found.new) == (RELEASE, OLD, NEW)
    assert [(fix.title, fix.cves, fix.certainty, fix.files) for fix in found.fixes] == [
        (
            "team: fix team_add()",
            ("CVE-2026-1001",),
            Certainty.NAME,
            ("drivers/net/team/team.c",),
        ),
        (
            "net: sit: check lengths",
            ("CVE-2026-1002", "CVE-2026-1003"),
            Certainty.PLACE,
            ("net/ipv6/sit.c",),
        ),
        ("clk: foo: mend it", ("CVE-2026-1004",), Certainty.PLACE, ("drivers/clk/foo.c",)),
        ("mm: mend all of it", (), Certainty.UNSURE, ()),
    ]
    assert found.fixes[2].architectures == ("arm64",)
    assert [(one.path, one.functions, one.objects) for one in found.files] == [
        ("drivers/clk/foo.c", (), ()),
        ("drivers/net/team/team.c", ("team_add",), ("team",)),
        ("net/ipv6/sit.c", ("sit_check",), ("vmlinux",)),
    ], "no other architecture, and no program of the host"
    assert found.others == ("Makefile",)
    assert found.objects_of(found.fixes[1]) == ("vmlinux",)


def test_the_list_is_kept_for_the_pair(target: Target, offer: ToyOffer) -> None:
    first, second = list_fixes(target), list_fixes(target, NEW)
    assert first == second
    assert offer.asked == 1
    (place,) = (cache() / "fixes" / RELEASE).glob("6*")
    assert sorted(path.name for path in place.iterdir()) == ["changes.diff.zst", "fixes.json"]
    (place / "fixes.json").write_text("{")
    assert list_fixes(target) == first, "what is damaged is made again"
    assert offer.asked == 2
    kept = json.loads((place / "fixes.json").read_text())
    (place / "fixes.json").write_text(json.dumps(kept | {"recipe": 0}))
    assert list_fixes(target) == first, "and so is what an older version made"
    assert offer.asked == 3


def test_nothing_newer_is_no_error(
    target: Target, offer: ToyOffer, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr(sources, "source_offers", lambda release, version: ())
    assert list_fixes(target) == FixList(RELEASE, OLD, OLD)
    assert app.main(["fixes", "--kernel", RELEASE]) == 0
    assert capsys.readouterr().out == f"No newer source than {OLD} is on offer for {RELEASE}.\n"


def refusal(target: Target, version: str | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        list_fixes(target, version)
    assert not list((cache() / "fixes").glob("*/6*")), "nothing is left half done"
    return caught.value


def test_a_version_that_is_not_newer_is_refused(target: Target, offer: ToyOffer) -> None:
    shows(refusal(target, "6.1.170-3"), "version-not-newer")
    for version in (OLD, "6.1.176-1~rc1"):
        assert refusal(target, version).code == "version-not-newer"


def test_a_version_that_the_archive_has_dropped_is_refused(target: Target, offer: ToyOffer) -> None:
    refused = refusal(target, "6.1.187-1")
    shows(refused, "version-not-offered")
    assert refused.evidence == (f"offered: {NEW}",)


@pytest.mark.parametrize("text", ["", "no changelog\n", BEFORE, CHANGELOG, CHANGELOG[:20]])
def test_an_unknown_changelog_is_refused(text: str, target: Target, offer: ToyOffer) -> None:
    offer.changelog = text
    refused = refusal(target)
    if not text:
        shows(refused, "changelog-unknown")
    assert refused.code == "changelog-unknown"


def test_a_changelog_without_numbers_is_no_error(target: Target, offer: ToyOffer) -> None:
    offer.changelog = CHANGELOG.replace("CVE-", "bug ") + BEFORE
    assert {fix.cves for fix in list_fixes(target).fixes} == {()}


def test_an_interruption_leaves_nothing(
    target: Target, offer: ToyOffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(listing, "_fix", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list_fixes(target)
    left = [path.name for path in (cache() / "fixes" / RELEASE).iterdir() if path.is_dir()]
    assert left == []
    assert len(list_fixes(target).fixes) == 4


def test_a_host_runs_what_is_built_in_and_the_modules_that_are_loaded(
    target: Target, offer: ToyOffer
) -> None:
    found = list_fixes(target)

    def runs(loaded: Sequence[str] | None) -> list[bool | None]:
        names = None if loaded is None else frozenset(loaded)
        return [one.runs for one in standing.standings(found, names)]

    assert runs(None) == [None] * 4
    assert runs([]) == [False, True, False, None]
    assert runs(["team"]) == [True, True, False, None]


LISTS = {
    "lsmod": "Module                  Size  Used by\nteam                   12  0\nnf-tables  1 2\n",
    "proc": "team 36864 0 - Live 0x0000000000000000\nnf_tables 1 0 - Live 0x0\n",
    "names": "team\n\nnf_tables\n",
}


@pytest.mark.parametrize("form", LISTS)
def test_modules_of_another_host(form: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(LISTS[form])
    assert standing.modules_of(tmp_path / "list") == {"team", "nf_tables"}


def test_a_list_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text("team\n<html>\n")
    with pytest.raises(Refusal) as caught:
        standing.modules_of(path)
    shows(caught.value, "module-list-unknown")


Printed = pytest.CaptureFixture[str]


def document(capsys: Printed, *words: str) -> dict[str, Any]:
    assert app.main(["fixes", "--kernel", RELEASE, "--json", *words]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_document(offer: ToyOffer, tmp_path: Path, capsys: Printed) -> None:
    (tmp_path / "modules").write_text("")
    found = document(capsys, "--modules", str(tmp_path / "modules"))
    assert [one["title"] for one in found["fixes"]] == ["net: sit: check lengths"]
    assert found["counts"] == {
        "fixes": 4,
        "cves": 4,
        "sure": 3,
        "unsure": 1,
        "files": 3,
        "files_of_kernel": 2,
        "cves_of_kernel": 3,
        "cves_running": 2,
        "cves_in_force": 0,
        "cves_unsure": 0,
    }
    everything = document(capsys, "--all")
    assert len(everything["fixes"]) == 4
    assert everything["fixes"][0] == {
        "title": "team: fix team_add()",
        "version": NEW,
        "cves": ["CVE-2026-1001"],
        "architectures": [],
        "certainty": "sure, by name",
        "because": ["team_add"],
        "files": ["drivers/net/team/team.c"],
        "objects": ["team"],
        "runs": None,
        "in_force": None,
    }


def test_the_table(
    offer: ToyOffer, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert app.main(["fixes", "--kernel", RELEASE]) == 0
    text = capsys.readouterr().out
    assert f"{RELEASE}: {OLD} -> {NEW}" in text
    assert "3 of the CVE numbers may be in code of this kernel." in text
    assert "team: fix team_add()" in text
    assert "clk: foo" not in text
    monkeypatch.setattr(running, "release", lambda: RELEASE)
    (tmp_path / "modules").write_text("")
    assert app.main(["fixes", "--modules", str(tmp_path / "modules")]) == 0
    text = capsys.readouterr().out
    assert "2 of the CVE numbers may be in code that runs." in text
    assert "team: fix team_add()" not in text


def test_a_live_patch_in_force_has_the_fix_that_it_names(target: Target, offer: ToyOffer) -> None:
    found = list_fixes(target)
    named = SimpleNamespace(title="net: sit: check lengths", cves=())
    numbered = SimpleNamespace(title="something", cves=("CVE-2026-1001", "CVE-2026-1002"))

    def in_force(fix: object, hindrances: Sequence[object] = (), **state: bool) -> list[str]:
        patch = SimpleNamespace(**({"name": "lp", "enabled": True, "transition": False} | state))
        patches = [SimpleNamespace(patch=patch, fixes=[fix])]
        status = SimpleNamespace(patches=patches, hindrances=hindrances)
        return [one.in_force for one in standing.standings(found, None, status)]  # type: ignore[arg-type]

    assert in_force(named) == ["", "lp", "", ""]
    assert in_force(numbered) == ["lp", "", "", ""], "not by one of two numbers"
    assert in_force(named, transition=True) == [""] * 4
    assert in_force(named, enabled=False) == [""] * 4
    hindrance = SimpleNamespace(patch="lp", is_in_force=False)
    assert in_force(named, [hindrance]) == [""] * 4, "ftrace leads to the old code of a function"


def test_a_fix_knows_its_objects_though_the_list_is_kept(target: Target, offer: ToyOffer) -> None:
    list_fixes(target)
    found = list_fixes(target, NEW)
    assert found.objects_of(found.fixes[0]) == ("team",)
    assert found.objects_of(replace(found.fixes[0], files=())) == ()


def test_objects_of_headers_count_where_there_is_no_source() -> None:
    files = (
        ChangedFile("fs/smb/client/trace.h", 1, 1, (), ("cifs", "kvm")),
        ChangedFile("fs/smb/client/file.c", 1, 1, (), ("cifs",)),
        ChangedFile("drivers/other.c", 1, 1, (), ()),
    )
    header, source, other = (one.path for one in files)
    found = FixList(RELEASE, OLD, NEW, files=files)
    fix = ListedFix("", NEW, (), (), Certainty.LIKELY, (), ())
    for paths, objects in (
        ((header, source), ("cifs",)),
        ((header,), ("cifs", "kvm")),
        ((header, other), ("cifs", "kvm")),
        ((other,), ()),
    ):
        assert found.objects_of(replace(fix, files=paths)) == objects


def test_the_page(offer: ToyOffer, tmp_path: Path, capsys: Printed) -> None:
    (tmp_path / "modules").write_text("")
    report = tmp_path / "fixes.html"
    document(capsys, "--modules", str(tmp_path / "modules"), "--report", str(report))
    page = Page(report.read_text())
    assert page.scripts == 0
    for text in (
        f"What {NEW} fixes in {RELEASE}",
        "With CVE numbers: 1",
        "In code that does not run: 2",
        "No file found: 1",
        "net: sit: check lengths",
        "drivers/net/team/team.c",
        "sure, by name",
    ):
        assert text in page.text
    assert "https://www.cve.org/CVERecord?id=CVE-2026-1002" in page.values("a", "href")


def test_a_page_that_cannot_be_written_is_refused_before_the_work(
    offer: ToyOffer, tmp_path: Path, capsys: Printed
) -> None:
    where = tmp_path / "none" / "fixes.html"
    assert app.main(["fixes", "--kernel", RELEASE, "--report", str(where)]) == 1
    assert "error[file-unreadable]" in capsys.readouterr().err
    assert offer.asked == 0
