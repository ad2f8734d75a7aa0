# SPDX-License-Identifier: GPL-2.0-or-later
"""The written form of a live patch, built: the same module comes of it, and what it says is held
against it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.convert import convert
from suture.builder.inputs import Choices
from suture.builder.source_diffs import parts_of_diffs
from suture.errors import Refusal
from suture.formats.diff import PatchSource, parse
from suture.formats.recognise import MANIFEST
from suture.kernel.release import Target
from suture.model import Fix
from suture.module.inspect import read_file
from suture.verify.kernel import Kernel
from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.examples import shows
from tests.kpatch_objects import as_kpatch_object
from tests.patches import Edit, appended, diff

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
    assert caught.value.evidence == (
        "- vmlinux: cmdline_proc_show()",
        "+ vmlinux: version_proc_show()",
    )
    assert not (tmp_path / "refused.ko").exists()


def test_what_an_author_decides_is_written_down_too(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    """Each of these is refused without the author's word for it."""
    patch = tmp_path / "decided.patch"
    table, thread = (
        '[ilog2(VM_READ)]\t= "rd"',
        "\twhile (!kthread_should_stop()) {\n\t\t/* NOTE: see the lock",
    )
    patch.write_text(
        diff(
            workspace.tree,
            NEW_VERSION,
            Edit("fs/proc/task_mmu.c", table, table.replace("rd", "RD")),
            Edit("drivers/net/dummy.c", "\t.ndo_change_carrier\t= dummy_change_carrier,\n", ""),
            Edit(
                "kernel/audit.c",
                thread,
                thread.replace("\twhile", '\tpr_info("sutured");\n\twhile'),
            ),
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
        assert built.data_changes
        assert built.data_changes == direct.data_changes

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
    files = {one.source.partition(":")[0] for item in built.patch.objects for one in item.functions}
    if source == "suse":
        assert files == {
            "uname_patch/livepatch_uname.c",
            "meminfo/livepatch_meminfo.c",
            "null_blk/livepatch_null_blk.c",
        }
    else:
        assert files == {path.name}


VERSION, UPTIME = "fs/proc/version.c", "fs/proc/uptime.c"
KPATCHS = appended(
    VERSION,
    '#include "kpatch-macros.h"\nstatic int before(patch_object *obj) { return 0; }\n'
    "KPATCH_PRE_PATCH_CALLBACK(before);\n",
)
KSPLICES = (
    Edit(UPTIME, '"%lu.%02lu %lu.%02lu\\n"', '"up %lu.%02lu %lu.%02lu\\n"'),
    appended(
        UPTIME,
        '#include "ksplice-patch.h"\nstatic int counted(void) { klp_shadow_free_all(9, NULL); return 0; }\n'
        "ksplice_pre_apply(counted);\n",
    ),
)


def test_inputs_of_every_camp_are_the_same_by_way_of_the_written_form(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    (tmp_path / "kpatch.patch").write_text(diff(workspace.tree, NEW_VERSION, KPATCHS))
    (tmp_path / "ksplice.patch").write_text(diff(workspace.tree, *KSPLICES))
    sources = Path(__file__).parents[1] / "lab" / "sources"
    inputs = [
        tmp_path / "kpatch.patch",
        tmp_path / "ksplice.patch",
        sources / "livepatch" / "of_module.c",
    ]
    for given in ([inputs[0]], [inputs[1]], inputs):
        direct = build(given, target, name="camps", output=tmp_path / "direct.ko")
        written = convert(given, tmp_path / f"{len(given)}-{given[0].stem}", name="camps")
        assert [one.format for one in written.manifest.source] == [
            "kpatch",
            "ksplice",
            "livepatch",
        ][inputs.index(given[0]) : inputs.index(given[-1]) + 1]
        built = build([written.path], target, output=tmp_path / "written.ko")
        assert built.path.read_bytes() == direct.path.read_bytes()
    whole = built.patch
    assert [item.name for item in whole.objects] == ["vmlinux", "null_blk"]
    assert [callback.kind.value for callback in whole.objects[0].callbacks] == ["pre_patch"]
    assert [one.id for one in whole.shadow_variables] == [9]
    sources_of = {one.old_name: one.source for item in whole.objects for one in item.functions}
    assert sources_of["version_proc_show"] == VERSION
    assert sources_of["uptime_proc_show"] == UPTIME
    assert any(source.startswith("of_module.c:") for source in sources_of.values())


def test_a_module_for_kpatchs_own_core_is_the_same_by_way_of_the_written_form(
    target: Target, workspace: Workspace, tmp_path: Path
) -> None:
    kernel = Kernel(target)
    source = PatchSource((parse("fix.patch", diff(workspace.tree, NEW_VERSION).encode()),))
    (cut,) = parts_of_diffs(source, kernel, workspace).cuts
    old = tmp_path / "old.ko"
    old.write_bytes(
        as_kpatch_object(cut, target.release, lambda _, name, __: kernel.vmlinux.addresses(name)[0])
    )
    direct = build([old], target, output=tmp_path / "direct.ko")
    written = convert([old], tmp_path / "written", target=target)
    built = build([written.path], target, output=tmp_path / "written.ko")
    assert built.path.read_bytes() == direct.path.read_bytes()
    assert [(one.old_name, one.source) for one in built.patch.objects[0].functions] == [
        ("version_proc_show", "old.ko")
    ]


def test_one_written_form_is_built_for_several_kernels(
    place: Place, target: Target, ibt_target: Target, workspace: Workspace
) -> None:
    place.patch(diff(workspace.tree, NEW_VERSION), "version.patch")
    assert place.run("convert", "version.patch", "-o", "fix.livepatch").returncode == 0
    kernels = ("--kernel", target.release, "--kernel", ibt_target.release)
    finished = place.run("build", "fix.livepatch", *kernels, "-o", "out", "--json")
    assert finished.returncode == 0, finished.stderr
    for release in (target.release, ibt_target.release):
        found = read_file(place.directory / "out" / release / "livepatch_version.ko")
        assert found.release == release
        assert [one.old_name for one in found.patch.objects[0].functions] == ["version_proc_show"]


def test_what_a_live_patch_is_for_stays_with_it(
    place: Place, target: Target, workspace: Workspace
) -> None:
    mail = (
        "From: A. Author <a@example.org>\nDate: Sat, 28 Nov 2026 12:00:00 +0100\n"
        'Subject: [PATCH] proc: version: say "it" \\ all\n\nIt closes CVE-2026-1000.\n\n'
        'Fixes: 1da177e4c3f4 ("Linux-2.6.12-rc2")\nLink: https://lore.kernel.org/r/x@y\n---\n'
    )
    place.patch(mail + diff(workspace.tree, NEW_VERSION), "0001-proc-version.patch")
    options = ("--cve", "cve-2026-1001", "--url", "https://example.org/advisory")
    kernel = ("--kernel", target.release)
    built = place.run("build", "0001-proc-version.patch", *options, *kernel)
    assert built.returncode == 0, built.stderr
    module = place.directory / "livepatch_proc_version_say_it_all.ko"
    title = 'proc: version: say "it" \\ all'
    assert modinfo(module, "description") == title
    fix = Fix(
        title,
        "A. Author <a@example.org>",
        "2026-11-28T12:00:00+01:00",
        "",
        ("CVE-2026-1000", "CVE-2026-1001"),
        ("https://lore.kernel.org/r/x@y", "https://example.org/advisory"),
        ('1da177e4c3f4 ("Linux-2.6.12-rc2")',),
    )
    assert read_file(module).patch.fixes == (fix,)
    shown = place.run("inspect", module.name).stdout
    assert f"fixes  {title} (CVE-2026-1000, CVE-2026-1001)" in shown
    assert "       A. Author <a@example.org>, 2026-11-28" in shown
    written = place.run("convert", "0001-proc-version.patch", *options, "-o", "fix.livepatch")
    assert written.returncode == 0, written.stderr
    again = place.run("build", "fix.livepatch", "-o", "again.ko", *kernel)
    assert again.returncode == 0, again.stderr
    assert (place.directory / "again.ko").read_bytes() == module.read_bytes()


def modinfo(module: Path, field: str) -> str:
    """A field as modinfo(8) reads it."""
    command = ["modinfo", "-F", field, str(module)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_description_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.patch").write_text("--- a/x.c\n+++ b/x.c\n@@ -1 +1 @@\n-a\n+b\n")
    manifest = tmp_path / "livepatch.toml"
    manifest.write_text(
        'suture = 1\ndescription = "What it is for."\n\n[[source]]\nformat = "diff"\npath = "a.patch"\n'
    )
    assert convert([manifest], tmp_path / "again").manifest.description == "What it is for."
