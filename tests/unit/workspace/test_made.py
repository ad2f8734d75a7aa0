# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that no object is compiled from: made by the build, part of its programs, or what it makes C
from."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.workspace.made import refuse_made, source_elsewhere

FILES = {
    "Kbuild": "timeconst-file := $(obj)/kernel/time/timeconst.bc\n",
    "include/generated/autoconf.h": "#define CONFIG_X86 1\n",
    "arch/x86/include/generated/asm/syscalls_64.h": "",
    "arch/x86/include/asm/generated.h": "",
    "arch/x86/tools/Makefile": "hostprogs += relocs\nrelocs-objs := relocs_32.o relocs_64.o\n",
    "arch/x86/tools/relocs.c": "",
    "arch/x86/tools/gen.awk": "",
    "arch/x86/boot/Makefile": "hostprogs := tools/build\nsetup-y += a20.o\n",
    "arch/x86/boot/a20.c": "",
    "drivers/tty/vt/Makefile": "FONTMAPFILE = cp437.uni\nobj-y += vt.o\nhostprogs += \\\n\tconmakehash\n"
    "$(obj)/defkeymap.c: $(obj)/%.c: $(src)/%.map\n",
    "drivers/tty/vt/conmakehash.c": "",
    "drivers/tty/vt/cp437.uni": "",
    "drivers/tty/vt/defkeymap.map": "",
    "drivers/tty/vt/vt.h": "",
    "kernel/Makefile": "obj-y += fork.o\n",
    "kernel/fork.c": "",
    "kernel/fork.inc": "",
    "kernel/time/timeconst.bc": "",
    "lib/Makefile": "lib-y += crc32.o\nhostprogs := gen_crc32table crc64table\n"
    "crc64table-objs := main64.o\n",
    "lib/gen_crc32table.c": "",
    "lib/main64.c": "",
    "lib/crc32table.h": "",
    "lib/.crc32table.h.cmd": "savedcmd_lib/crc32table.h := lib/gen_crc32table > lib/crc32table.h\n",
    "lib/README.first": "",
}
INCLUDED = 'kernel/fork.c:#include "fork.inc"\nlib/crc32.c:#include "crc32table.h"\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


REFUSED = {
    "include/generated/autoconf.h": "is made by the build",
    "arch/x86/include/generated/asm/syscalls_64.h": "is made by the build",
    "lib/crc32table.h": "is made by the build",
    "arch/x86/tools/relocs.c": "runs while the kernel is built (arch/x86/tools/Makefile)",
    "arch/x86/tools/gen.awk": "runs while the kernel is built (arch/x86/tools/Makefile)",
    "drivers/tty/vt/conmakehash.c": "runs while the kernel is built (drivers/tty/vt/Makefile)",
    "lib/gen_crc32table.c": "runs while the kernel is built (lib/Makefile)",
    "lib/main64.c": "runs while the kernel is built (lib/Makefile)",
    "drivers/tty/vt/cp437.uni": "drivers/tty/vt/Makefile has the build make other files from it",
    "drivers/tty/vt/defkeymap.map": "drivers/tty/vt/Makefile has the build make other files",
    "kernel/time/timeconst.bc": "Kbuild has the build make other files from it",
    "lib/README.first": "is not C, and no C file includes it",
}


@pytest.mark.parametrize("path", REFUSED)
def test_what_takes_effect_when_a_kernel_is_built_is_refused(path: str, tree: Path) -> None:
    with pytest.raises(Refusal) as refused:
        refuse_made(tree, ["kernel/fork.c", path], INCLUDED)
    assert (refused.value.code, refused.value.where) == ("build-system-changed", path)
    assert REFUSED[path] in refused.value.found


@pytest.mark.parametrize(
    "path",
    [
        "kernel/fork.c",
        "kernel/fork.inc",
        "drivers/tty/vt/vt.h",
        "arch/x86/include/asm/generated.h",
        "arch/x86/boot/a20.c",
        "kernel/new.c",
    ],
)
def test_what_objects_are_compiled_from_is_not(path: str, tree: Path) -> None:
    refuse_made(tree, [path], INCLUDED)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("drivers/xe/i915-display/intel_tc.o", "drivers/i915/display/intel_tc.c"),
        ("drivers/xe/i915-display/intel_tc.stub.o", "drivers/i915/display/intel_tc.stub.c"),
        ("drivers/xe/relo_core.o", "tools/lib/bpf/relo_core.c"),
        ("drivers/xe/inner.o", "drivers/xe/inner/inner.c"),
        ("drivers/xe/xe_bo.o", ""),
        ("drivers/other.o", ""),
    ],
)
def test_an_object_of_a_source_elsewhere(path: str, source: str, tmp_path: Path) -> None:
    (tmp_path / "drivers/xe").mkdir(parents=True)
    (tmp_path / "drivers/xe/Makefile").write_text(
        "obj-y += xe_bo.o\n"
        "$(obj)/i915-display/%.o: $(srctree)/drivers/i915/display/%.c FORCE\n\t$(call cmd)\n"
        "$(obj)/relo_core.o: $(srctree)/tools/lib/bpf/relo_core.c FORCE\n"
        "$(obj)/inner.o : $(src)/inner/inner.c\n"
    )
    assert source_elsewhere(tmp_path, path) == source
