# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls by the names that their functions had, and what the target says of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.arch import ElfMachine
from suture.arch.x86_64.syscalls import SYSCALLS
from suture.kernel.image import Image
from suture.kernel.kallsyms import Kallsyms
from suture.link import syscalls
from suture.verify.shipped import ShippedImage
from suture.verify.syscalls import Definition, SystemCall, find_definition, old_system_call
from tests.unit.toolchain import MACHINE


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sys_getpid", SystemCall("getpid", False)),
        ("SyS_newuname", SystemCall("newuname", False)),
        ("__se_sys_iopl", SystemCall("iopl", False)),
        ("__do_sys_iopl", SystemCall("iopl", False)),
        ("compat_sys_ioctl", SystemCall("ioctl", True)),
        ("compat_SyS_ioctl", SystemCall("ioctl", True)),
        ("__se_compat_sys_ioctl", SystemCall("ioctl", True)),
        ("__x64_sys_iopl", None),
        ("sysctl_head_next", None),
        ("version_proc_show", None),
    ],
)
def test_old_names(name: str, expected: SystemCall | None) -> None:
    assert old_system_call(name) == expected


def test_entries_of_native_and_compat_calls() -> None:
    assert tuple(SystemCall("iopl", False).entries(SYSCALLS)) == (
        "__x64_sys_iopl",
        "__ia32_sys_iopl",
    )
    compat = SystemCall("ioctl", True).entries(SYSCALLS)
    assert tuple(compat) == ("__x64_compat_sys_ioctl", "__ia32_compat_sys_ioctl")


class NoMetadata(ShippedImage):
    """A kernel without ``CONFIG_FTRACE_SYSCALLS``."""

    def __init__(self) -> None:
        super().__init__(Image.__new__(Image), Kallsyms(()))

    @property
    def machine(self) -> ElfMachine:
        return MACHINE


SOURCE = """\
SYSCALL_DEFINE0(getpid)
{
}
COMPAT_SYSCALL_DEFINE3(ioctl, unsigned int, fd, unsigned int, cmd,
\t\t       compat_ulong_t, arg32)
{
}
SYSCALL_DEFINE2(twice, int, a, const char __user *, b)
{
}
"""


def test_definition_comes_from_the_source_where_the_image_has_none(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "fs").mkdir()
    (tmp_path / "kernel" / "sys.c").write_text(SOURCE)
    (tmp_path / "fs" / "sys.c").write_text("SYSCALL_DEFINE1(twice, int, a)\n")

    def types(call: SystemCall) -> tuple[str, ...] | None:
        found = find_definition(NoMetadata(), tmp_path, call)
        return None if found is None else found.types

    assert types(SystemCall("getpid", False)) == ()
    assert types(SystemCall("ioctl", True)) == ("unsigned int", "unsigned int", "compat_ulong_t")
    assert types(SystemCall("ioctl", False)) is None
    assert types(SystemCall("twice", False)) is None, "there are two, and they differ"
    (tmp_path / "fs" / "sys.c").unlink()
    assert types(SystemCall("twice", False)) == ("int", "const char *")


def test_wrappers_use_the_targets_own_macros() -> None:
    defined = Definition(
        SystemCall("mount", False), ("char *", "const struct path *", "unsigned int")
    )
    made = syscalls.wrappers(defined, defined.call.entries(SYSCALLS), "livepatch_function_0", 0)
    assert list(made) == ["livepatch_x64_sys_mount", "livepatch_ia32_sys_mount"]
    first, second = made.values()
    assert (
        "struct path;\nextern long livepatch_function_0(char * a0, const struct path * a1, unsigned int a2);"
        in first
    )
    assert "__MAP(3, __SC_CAST, char *, a0, const struct path *, a1, unsigned int, a2)" in first
    assert "SC_X86_64_REGS_TO_ARGS(3, " in first
    assert "SC_IA32_REGS_TO_ARGS(3, " in second
