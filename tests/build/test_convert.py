# SPDX-License-Identifier: GPL-2.0-or-later
"""The written form of a live patch, built: the same module comes of it, and what it says is held against it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from suture.build import build
from suture.build.convert import convert
from suture.build.inputs import Choices
from suture.errors import Refusal
from suture.formats.recognise import MANIFEST
from suture.kernel.release import Target
from suture.link.inspect import read_file
from suture.workspace.prepare import Workspace
from tests.examples import shows
from tests.patches import Edit, diff

NEW_VERSION = Edit(
    "fs/proc/version.c",
    "seq_printf(m, linux_proc_banner,",
    'seq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)


def test_what_is_written_down_builds_the_same_module_and_nothing_else(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    patch = tmp_path / "version.patch"
    patch.write_text(diff(workspace.tree, NEW_VERSION))
    direct = build([patch], target, output=tmp_path / "direct.ko")

    written = convert([patch], tmp_path / "fix.livepatch", target=target)
    (expected,) = written.manifest.object
    assert [function.old_name for function in expected.function] == ["version_proc_show"]
    from_directory = build([written.path], target, output=tmp_path / "from_directory.ko")
    assert from_directory.path.read_bytes() == direct.path.read_bytes()
    assert read_file(from_directory.path).patch == direct.patch

    packed = convert([written.path], tmp_path / "fix.tar.xz")
    assert packed.manifest == written.manifest
    from_archive = build([packed.path], target, output=tmp_path / "from_archive.ko")
    assert from_archive.path.read_bytes() == direct.path.read_bytes()

    manifest = written.path / MANIFEST
    manifest.write_text(manifest.read_text().replace("version_proc_show", "cmdline_proc_show"))
    with pytest.raises(Refusal) as caught:
        build([written.path], target, output=tmp_path / "refused.ko")
    shows(caught.value, "model-differs")
    assert caught.value.evidence == ("- vmlinux: cmdline_proc_show()", "+ vmlinux: version_proc_show()")
    assert not (tmp_path / "refused.ko").exists()


def test_what_an_author_decides_is_written_down_too(target: Target, workspace: Workspace, tmp_path: Path) -> None:
    """Each of these is refused without the author's word for it."""
    patch = tmp_path / "decided.patch"
    table, thread = '[ilog2(VM_READ)]\t= "rd"', "\twhile (!kthread_should_stop()) {\n\t\t/* NOTE: see the lock"
    patch.write_text(
        diff(
            workspace.tree,
            NEW_VERSION,
            Edit("fs/proc/task_mmu.c", table, table.replace("rd", "RD")),
            Edit("drivers/net/dummy.c", "\t.ndo_change_carrier\t= dummy_change_carrier,\n", ""),
            Edit("kernel/audit.c", thread, thread.replace("\twhile", '\tpr_info("sutured");\n\twhile')),
        )
    )
    asked = Choices(
        patch_data=frozenset({"dummy_netdev_ops"}),
        keep_data=frozenset({"mnemonics"}),
        replace_threads=frozenset({"kauditd_thread"}),
        caller_depth=0,
        caller_limit=1,
    )
    direct = build([patch], target, output=tmp_path / "direct.ko", choices=asked)
    written = convert([patch], tmp_path / "decided.livepatch", target=target, choices=asked)
    again = convert([written.path], tmp_path / "again.tar.gz")
    assert again.manifest == written.manifest
    for form in (written, again):
        built = build([form.path], target, output=tmp_path / "written.ko")
        assert built.path.read_bytes() == direct.path.read_bytes()
        assert built.data
        assert built.data == direct.data

    manifest = written.path / MANIFEST
    text = manifest.read_text()
    for field, code in (
        ("patch_data", "data-changed"),
        ("keep_data", "data-changed"),
        ("replace_thread", "thread-function-replaced"),
    ):
        manifest.write_text(re.sub(rf"(?s)^{field} = \[.*?\]\n", "", text, flags=re.MULTILINE))
        with pytest.raises(Refusal) as caught:
            build([written.path], target, output=tmp_path / "refused.ko")
        assert caught.value.code == code


@pytest.mark.parametrize("source", ["kgraft/replaces_all.c", "livepatch/of_module.c", "suse"])
@pytest.mark.parametrize("replace", [None, False])
def test_an_authors_module_is_the_same_by_way_of_the_written_form(
    source: str, replace: bool | None, target: Target, tmp_path: Path
) -> None:
    path = Path(__file__).parents[1] / "lab" / "sources" / source
    direct = build([path], target, output=tmp_path / "direct.ko", replace=replace)
    written = convert([path], tmp_path / "written", target=target, replace=replace)
    built = build([written.path], target, output=tmp_path / "written.ko")
    assert built.patch == direct.patch
    assert built.path.read_bytes() == direct.path.read_bytes()
    assert replace is None or not built.patch.replace


def test_a_description_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text("--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n")
    manifest = tmp_path / "livepatch.toml"
    manifest.write_text(
        'suture = 1\ndescription = "What it is for."\n\n[[source]]\nformat = "diff"\npath = "a.patch"\n'
    )
    assert convert([manifest], tmp_path / "again").manifest.description == "What it is for."
