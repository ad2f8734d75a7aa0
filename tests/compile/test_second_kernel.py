# SPDX-License-Identifier: GPL-2.0-or-later
"""A kernel that is prepared beside another of its series has the workspace that it would have
alone."""

from __future__ import annotations

import filecmp
import re
from pathlib import Path

import pytest

from suture import sources
from suture.host.paths import cache
from suture.kernel.release import Target
from suture.workspace import objects
from suture.workspace.original import originals
from suture.workspace.prepare import TERMS, Workspace, prepare

pytestmark = pytest.mark.only_in_test_all

NAMES_THE_TREE = re.compile(r"tools/objtool/.*|scripts/mod/empty\.o|.*\.cmd")
"""Debug information has the paths of sources, and notes have them in commands."""

TELLS_THE_TIME = {"include/generated/compile.h", "include/generated/utsversion.h"}

SOURCES = ("fs/proc/version.c", "drivers/block/loop.c")


def another(target: Target) -> Target:
    """Another version of the target's series and flavour; one that is here, if there is one."""
    pattern = re.compile(re.escape(target.release[: target.release.index(".", 2)]) + r"\.\S+")

    def fits(release: str, version: str) -> bool:
        flavour = re.fullmatch(r"[\d.-]+(\+deb12)?-amd64", release)
        return bool(pattern.match(release) and flavour and version != target.version)

    for one in sources.fetched():
        if fits(one.release, one.version):
            return one
    offer = next(one for one in sources.offers() if fits(one.release, one.version))
    return sources.fetch(offer.release, offer.version)


def prepared(directory: Path, monkeypatch: pytest.MonkeyPatch, *targets: Target) -> Workspace:
    """The last of the targets, prepared after the others in a cache of its own."""
    kept = cache()
    directory.mkdir()
    for name in ("kernels", "toolchains"):
        (directory / name).symlink_to(kept / name)
    with monkeypatch.context() as patched:
        patched.setenv("SUTURE_CACHE", str(directory))
        return [prepare(one) for one in targets][-1]


def files(tree: Path) -> set[str]:
    return {str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()}


def compiled(workspace: Workspace) -> list[bytes]:
    listed = objects.beside(workspace, list(SOURCES))
    wanted = [one for source in SOURCES if (one := listed.of(source))]
    return [stored.content for stored in originals(workspace, wanted)]


def test_a_second_kernel_is_prepared_as_if_it_were_alone(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = another(target)
    alone = prepared(tmp_path / "alone", monkeypatch, target)
    second = prepared(tmp_path / "second", monkeypatch, first, target)
    neighbour = next((tmp_path / "second/workspaces").glob(f"{first.release}-*")) / "ready"
    assert (second.tree.parent / TERMS).read_text() == (neighbour / TERMS).read_text()
    assert (second.tree / "kernel/bounds.c").samefile(neighbour / "tree/kernel/bounds.c")
    assert files(second.tree) == files(alone.tree)
    _, differing, unreadable = filecmp.cmpfiles(
        second.tree, alone.tree, files(alone.tree) - TELLS_THE_TIME, shallow=False
    )
    assert [name for name in differing if not NAMES_THE_TREE.fullmatch(name)] == []
    assert unreadable == []
    assert sorted(second.include_lines().splitlines()) == sorted(alone.include_lines().splitlines())
    assert second.name == alone.name
    assert compiled(second) == compiled(alone)
