# SPDX-License-Identifier: GPL-2.0-or-later
"""Examples on the page of refusals that other tests do not show one by one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.arch.build import KernelBuild
from suture.diff.changes import compare
from suture.diff.data import DataRequest
from suture.errors import Refusal
from suture.formats import diff
from suture.host import run
from suture.host.failures import refused as refused_by_command
from suture.kernel import config, kallsyms, listing, modules, symvers
from suture.kernel.types import struct_sizes
from suture.link import kbuild, objtool
from suture.workspace import command, compilers, includes
from suture.workspace.applying import Changed
from suture.workspace.code_files import sort
from suture.workspace.compile import pair_of
from suture.workspace.programs import refuse_separate
from suture.workspace.store import Stored
from tests.examples import shows
from tests.unit.toolchain import compile_c, side


def _module(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as made:
        path = Path(made, "loop.ko")
        path.write_bytes(data)
        modules.read(path)


def _listing(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as made:
        path = Path(made, "System.map")
        path.write_bytes(data)
        listing.read(path, "xfs")


def _compiler(text: str) -> None:
    with tempfile.TemporaryDirectory() as made:
        path = Path(made, "config")
        path.write_text(f'CONFIG_CC_IS_GCC=y\nCONFIG_CC_VERSION_TEXT="{text}"\n')
        compilers.compiler(path)


def _include_lines() -> None:
    """Of a tree without the architecture's part."""
    with tempfile.TemporaryDirectory() as made:
        tree = Path(made, "linux")
        tree.mkdir()
        includes.scan(tree, "x86")


def _command(error: BaseException) -> None:
    with refused_by_command(["build", "fix.patch"]):
        raise error


BINARY = b"diff --git a/x.bin b/x.bin\nindex 1..2 100644\nBinary files a/x.bin and b/x.bin differ\n"
LINK = b"diff --git a/fs/l b/fs/l\nnew file mode 120000\n--- /dev/null\n+++ b/fs/l\n@@ -0,0 +1 @@\n+/etc\n"
DATA = "extern int use(int *); static int counted = 5;\nint user(void) { counted++; return use(&counted); }\n"

SHARED = """\
cmd_drivers/block/rnbd/rnbd-common.o := gcc-12 -DMODULE -DKBUILD_MODNAME='"rnbd_client:rnbd_server"' \
-c -o drivers/block/rnbd/rnbd-common.o drivers/block/rnbd/rnbd-common.c

source_drivers/block/rnbd/rnbd-common.o := drivers/block/rnbd/rnbd-common.c

deps_drivers/block/rnbd/rnbd-common.o := \\
  drivers/block/rnbd/rnbd-proto.h \\

"""
"""As kbuild saves it where client and server are modules (``scripts/Makefile.lib``:
``modname-multi``)."""


def _shared() -> None:
    stored = Stored(command.parse("drivers/block/rnbd/rnbd-common.o", SHARED), b"")
    pair_of(stored, stored, ())


OBJTOOL = "fix.o: warning: objtool: version_proc_show+0x4b: return with modified stack frame\n"
"""Said of ``asm volatile("push %rax")`` in a function of 6.12."""

REFUSED: dict[str, Callable[[], object]] = {
    "not-a-patch": lambda: diff.parse("fix.patch", b"", None),
    "patch-has-binary": lambda: diff.parse("fix.patch", BINARY, None),
    "patch-path-escapes": lambda: diff.parse("fix.patch", LINK, None),
    "data-unpatchable": lambda: compare(
        side(compile_c(DATA)),
        side(compile_c(DATA.replace("5", "6"))),
        DataRequest(frozenset({"counted"})),
    ),
    "config-malformed": lambda: config.parse(b"CONFIG_A=y\nhello\n", ".config"),
    "symvers-malformed": lambda: symvers.parse(b"", "Module.symvers"),
    "kallsyms-malformed": lambda: kallsyms.parse(b"", "listing"),
    "object-not-listed": lambda: _listing(b"ffffffff81000002 T hidden\t[mod]\n"),
    "module-malformed": lambda: _module(b"\xfd7zXZ\0\0"),
    "types-malformed": lambda: struct_sizes(bytes(64), {"bug_entry"}, "6.1.0-50-amd64"),
    "compiler-mismatch": lambda: _compiler("gcc-99 (Toys 99.1.0-1) 99.1.0"),
    "assembly-file": lambda: sort([Changed("arch/x86/lib/memcpy_64.S", b"", b"")], "x86"),
    "build-system-changed": lambda: sort([Changed("fs/Kconfig", b"", b"")], "x86"),
    "shared-object": _shared,
    "separate-program": lambda: refuse_separate("arch/x86/entry/vdso/vclock_gettime.c"),
    "workspace-failed": _include_lines,
    "unwind-data-doubtful": lambda: objtool.refuse_doubts("fix", OBJTOOL, KernelBuild()),
    "command-failed": lambda: run.check(["ls", "/nonexistent"], where="ls"),
    "name-unusable": lambda: kbuild.usable_name("my fix"),
    "interrupted": lambda: _command(KeyboardInterrupt()),
    "build-extra-missing": lambda: _command(
        ModuleNotFoundError("No module named 'unidiff'", name="unidiff")
    ),
    "internal-error": lambda: _command(ZeroDivisionError("division by zero")),
}


@pytest.mark.parametrize("code", REFUSED)
def test_the_example_is_what_is_printed(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(Refusal) as refused:
        REFUSED[code]()
    shows(refused.value, code)
