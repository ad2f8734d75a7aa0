# SPDX-License-Identifier: GPL-2.0-or-later
"""The written form of a live patch, built: the same module comes of it, and what it says is held against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.build import build
from suture.build.convert import convert
from suture.errors import Refusal
from suture.formats.recognise import MANIFEST
from suture.kernel.release import Target
from suture.link.inspect import read_file
from suture.workspace.prepare import Workspace
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
    assert caught.value.code == "model-differs"
    assert caught.value.evidence == ("- vmlinux: cmdline_proc_show()", "+ vmlinux: version_proc_show()")
    assert not (tmp_path / "refused.ko").exists()
