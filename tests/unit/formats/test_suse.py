# SPDX-License-Identifier: GPL-2.0-or-later
"""What SUSE's place holders become."""

from __future__ import annotations

import pytest

from suture.errors import Refusal
from suture.formats import suse

LIVEPATCH_MAIN = """\
@@KLP_PATCHES_INCLUDES@@
static struct klp_object objs[] = {
\t@@KLP_PATCHES_OBJS@@
};
int init(void)
{
\t@@KLP_PATCHES_INIT_CALLS@@;
err_patches_cleanup:
\t@@KLP_PATCHES_INIT_ERR_HANDLERS@@;
\treturn retval;
}
void cleanup(void)
{
\t@@KLP_PATCHES_CLEANUP_CALLS@@;
}
"""
KGRAFT_MAIN = """\
@@KGR_PATCHES_INCLUDES@@
static struct kgr_patch patch = {
\t.name = "kgraft-patch-@@RELEASE@@",
\t.patches = {
\t\t@@KGR_PATCHES_FUNCS@@,
\t\tKGR_PATCH_END
\t}
};
int init(void)
{
\t@@KGR_PATCHES_INIT_CALLS@@;
@@KGR_PATCHES_INIT_ERR_HANDLERS@@:
}
"""
HEADER = "int livepatch_{0}_init(void);\nvoid livepatch_{0}_cleanup(void);\n"


def files(main: str = LIVEPATCH_MAIN, name: str = suse.MAIN, **tables: str) -> dict[str, bytes]:
    made = {name: main}
    for fix, table in tables.items():
        made |= {
            f"{fix}/livepatch_{fix}.h": HEADER.format(fix),
            f"{fix}/{suse.TABLE}": table,
            f"{fix}/{fix}.c": "",
        }
    return {path: text.encode() for path, text in made.items()}


def main_of(expanded: suse.Expanded) -> str:
    return expanded.files[expanded.parts[0]].decode()


def test_fixes_are_named_everywhere_in_order() -> None:
    expanded = suse.expand(
        "fixes", files(b="vmlinux f klpp_f\n", a="vmlinux g,2 klpp_g\nxfs h klpp_h A && B\n"), "6.1"
    )
    assert expanded.name == "fixes"
    assert expanded.parts == (suse.MAIN, "a/a.c", "b/b.c")
    text = main_of(expanded)
    assert text.startswith('#include "a/livepatch_a.h"\n#include "b/livepatch_b.h"\n')
    assert '{ .old_name = "g", .new_func = klpp_g, .old_sympos = 2, },' in text
    assert text.index("#if (A && B)") < text.index('.name = "xfs"') < text.index("#endif")
    assert text.index("goto err_a;") < text.index("goto err_b;")
    assert text.index("livepatch_b_cleanup();\nerr_b:") < text.index(
        "livepatch_a_cleanup();\nerr_a:"
    )
    assert "@@" not in text


UNAME = (
    '#include "../klp_syscalls.h"\nextern KLP_SYSCALL_DECLx(1, KLP_SYSCALL_SYM(klp_newuname));\n'
)
UNAME_BEFORE = "extern long klp_sys_newuname(struct new_utsname *name);\n"


def test_uname_is_replaced_under_the_names_of_the_kernels_system_calls() -> None:
    given = files(a="xfs f klpp_f\n") | {"uname_patch/livepatch_uname.h": UNAME.encode()}
    lines = main_of(suse.expand("fixes", given, "6.4")).splitlines()
    start = lines.index("\t\t.name = NULL,")
    assert lines[start + 2 : start + 7] == [
        "\t\t\t{ .old_name = __stringify(KLP_SYSCALL_SYM(newuname)), "
        ".new_func = KLP_SYSCALL_SYM(klp_newuname), },",
        "#if defined(KLP_ARCH_HAS_SYSCALL_COMPAT_STUBS)",
        "\t\t\t{ .old_name = __stringify(KLP_SYSCALL_COMPAT_STUB_SYM(newuname)), "
        ".new_func = KLP_SYSCALL_COMPAT_STUB_SYM(klp_newuname), },",
        "#endif",
        "\t\t\t{ }",
    ]
    assert start < lines.index('\t\t.name = "xfs",')


def test_uname_had_one_function_before() -> None:
    given = files(a="xfs f klpp_f\n") | {"uname_patch/livepatch_uname.h": UNAME_BEFORE.encode()}
    text = main_of(suse.expand("fixes", given, "4.12"))
    assert '{ .old_name = "sys_newuname", .new_func = klp_sys_newuname, },' in text


def test_system_calls_in_tables_have_the_kernels_names() -> None:
    table = (
        "vmlinux KLP_SYSCALL_SYM(epoll_ctl) KLP_SYSCALL_SYM(klpp_epoll_ctl)\n"
        "vmlinux KLP_COMPAT_SYSCALL_SYM(ioctl) KLP_COMPAT_SYSCALL_SYM(klpp_ioctl)"
        " defined(CONFIG_COMPAT) && KERNEL_VERSION(6, 4, 0) <= LINUX_VERSION_CODE\n"
    )
    lines = main_of(suse.expand("fixes", files(a=table), "6.4")).splitlines()
    first = lines.index("\t\t.funcs = (struct klp_func[]) {") + 1
    assert lines[first : first + 4] == [
        "\t\t\t{ .old_name = __stringify(KLP_SYSCALL_SYM(epoll_ctl)), "
        ".new_func = KLP_SYSCALL_SYM(klpp_epoll_ctl), },",
        "#if defined(CONFIG_COMPAT) && KERNEL_VERSION(6, 4, 0) <= LINUX_VERSION_CODE",
        "\t\t\t{ .old_name = __stringify(KLP_COMPAT_SYSCALL_SYM(ioctl)), "
        ".new_func = KLP_COMPAT_SYSCALL_SYM(klpp_ioctl), },",
        "#endif",
    ]


def test_an_object_may_have_its_path() -> None:
    table = "net/bluetooth/bluetooth f klpp_f\nbluetooth g klpp_g\nsound/snd-pcm h klpp_h\n"
    text = main_of(suse.expand("fixes", files(a=table), "6.4"))
    assert text.count('.name = "bluetooth"') == 1
    assert '.name = "snd_pcm"' in text


def test_fixes_can_be_chosen() -> None:
    given = files(a="vmlinux f klpp_f\n", b="vmlinux g klpp_g\n", c="vmlinux\n")
    given["c/asm.S"] = b""
    expanded = suse.expand("fixes", given, "6.4", ["b", "a"])
    assert expanded.fixes == ("a", "b")
    assert not [path for path in expanded.files if path.startswith("c/")], "nothing of it is read"
    assert "c" not in suse.fixes_of("fixes", given, ["a"])
    assert suse.is_left_out("c/c.c", ["a"])
    assert not suse.is_left_out("c/c.c", [])
    assert not suse.is_left_out("uname_patch/livepatch_uname.c", ["a"])


def test_an_unknown_fix_is_refused_with_the_nearest() -> None:
    given = files(bsc1000001="vmlinux f klpp_f\n", bsc2="vmlinux g klpp_g\n")
    with pytest.raises(Refusal) as caught:
        suse.expand("fixes", given, "6.4", ["bsc100001"])
    assert (caught.value.code, caught.value.where) == ("suse-fix-unknown", "--only bsc100001")
    assert caught.value.evidence == ("there is bsc1000001",)


def test_where_the_packaging_builds_is_no_fix() -> None:
    given = files(a="vmlinux f klpp_f\n") | {
        f"build/{suse.MAIN}": b"",
        "build/a/a.c": b"",
        "build/b.S": b"",
    }
    expanded = suse.expand("fixes", given, "6.4")
    assert (expanded.fixes, expanded.parts) == (("a",), (suse.MAIN, "a/a.c"))


@pytest.mark.parametrize(
    ("path", "text", "code", "where"),
    [
        ("a/asm.S", "", "suse-fix-assembler", "a/asm.S"),
        ("uname_patch/asm.s", "", "suse-fix-assembler", "uname_patch/asm.s"),
        (
            "a/Kbuild.inc",
            "CFLAGS_a.o += -Werror\n\nCFLAGS_a/a.o += -DFAST\n",
            "makefile-not-understood",
            "a/Kbuild.inc:3",
        ),
        (
            "a/Kbuild.inc",
            "CFLAGS_a.o += -Wa,--noexecstack\n",
            "makefile-not-understood",
            "a/Kbuild.inc:1",
        ),
        ("a/Kbuild.inc", "$(shell true)\n", "makefile-not-understood", "a/Kbuild.inc:1"),
        (
            f"a/{suse.TABLE}",
            "vmlinux KLP_OTHER_SYM(f) KLP_SYSCALL_SYM(klpp_f)\n",
            "patched-funcs-malformed",
            f"a/{suse.TABLE}:1",
        ),
        (
            f"a/{suse.TABLE}",
            "vmlinux KLP_SYSCALL_SYM(f) KLP_SYSCALL_SYM(f){}\n",
            "patched-funcs-malformed",
            f"a/{suse.TABLE}:1",
        ),
        (f"a/{suse.TABLE}", "net/ f klpp_f\n", "patched-funcs-malformed", f"a/{suse.TABLE}:1"),
    ],
)
def test_other_parts_are_refused(path: str, text: str, code: str, where: str) -> None:
    given = files(a="vmlinux f klpp_f\n") | {path: text.encode()}
    with pytest.raises(Refusal) as caught:
        suse.expand("fixes", given, "6.4")
    assert (caught.value.code, caught.value.where) == (code, where)


def test_options_for_warnings_are_left_out() -> None:
    options = "# by klp-build\nCFLAGS_a.o += -Werror\nCFLAGS_a/a.o += -Wno-array-bounds -Wall\n"
    given = files(a="vmlinux f klpp_f\n") | {"a/Kbuild.inc": options.encode()}
    assert "a/Kbuild.inc" not in suse.expand("fixes", given, "6.4").files


def test_a_fix_names_its_vulnerabilities() -> None:
    given = files(a="vmlinux f klpp_f\n", b="vmlinux g klpp_g\n")
    given["a/a.c"] = b"/* Fix for CVE-2025-38396 and CVE-2025-1, bsc#1; see CVE-2025-38396 */\n"
    given["b/b.c"] = b"/* Fix for CVE-2025-38500 */\n"
    fix = suse.described("a", given)
    assert (fix.title, fix.cves) == ("a", ("CVE-2025-38396",))


def test_main_file_of_the_days_of_kgraft() -> None:
    expanded = suse.expand(
        "fixes", files(KGRAFT_MAIN, suse.OLD_MAIN, a="vmlinux f klpp_f\nxfs g,3 klpp_g\n"), "4.4.1"
    )
    text = main_of(expanded)
    assert "kgraft-patch-4.4.1" in text
    assert "KGR_PATCH_OBJPOS(f, klpp_f, NULL, 0)," in text
    assert 'KGR_PATCH_OBJPOS(g, klpp_g, "xfs", 3),' in text
    assert text.rstrip().endswith("return retval;\n}")


def test_helper_for_symbols_is_replaced_by_one_for_any_kernel() -> None:
    given = files(a="vmlinux f klpp_f\n") | {
        "kallsyms_relocs.c": b"#error\n",
        "kallsyms_relocs.h": b"#error\n",
    }
    assert b"#error" not in suse.expand("fixes", given, "6.1").files["kallsyms_relocs.c"]


def test_trace_points_are_for_any_kernel_where_the_object_is_named() -> None:
    today = "# define KLPR_TRACE_EVENT(module, name, proto, args) \\\n"
    before = "#define KLPR_TRACE_EVENT(name, proto, args) \\\n"
    for text, is_ours in ((today, True), (before, False)):
        given = files(a="vmlinux f klpp_f\n") | {suse.TRACE: text.encode()}
        made = suse.expand("fixes", given, "6.1").files[suse.TRACE].decode()
        assert (made != text) is is_ours
        assert ("klpr_trace_##name##_enabled" in made) is is_ours


@pytest.mark.parametrize(
    ("table", "main", "code", "where"),
    [
        ("vmlinux f\n", LIVEPATCH_MAIN, "patched-funcs-malformed", "a/patched_funcs.csv:1"),
        ("\nvmlinux f,0 g\n", LIVEPATCH_MAIN, "patched-funcs-malformed", "a/patched_funcs.csv:2"),
        ("vmlinux f,x g\n", LIVEPATCH_MAIN, "patched-funcs-malformed", "a/patched_funcs.csv:1"),
        (
            "vmlinux f g }; evil(); {\n",
            LIVEPATCH_MAIN,
            "patched-funcs-malformed",
            "a/patched_funcs.csv:1",
        ),
        ('x"y f g\n', LIVEPATCH_MAIN, "patched-funcs-malformed", "a/patched_funcs.csv:1"),
        (
            "vmlinux f g\n",
            LIVEPATCH_MAIN + "@@SOMETHING@@\n",
            "placeholder-left",
            f"{suse.MAIN}:16",
        ),
        ("vmlinux f g\n", "int x;\n@@KLP_PATCHES_OTHER@@\n", "placeholder-left", f"{suse.MAIN}:2"),
    ],
)
def test_what_is_not_understood_is_refused(table: str, main: str, code: str, where: str) -> None:
    with pytest.raises(Refusal) as caught:
        suse.expand("fixes", files(main, a=table), "6.1")
    assert (caught.value.code, caught.value.where) == (code, where)


@pytest.mark.parametrize("missing", ["a/livepatch_a.h", f"a/{suse.TABLE}"])
def test_fix_that_lacks_something_is_refused(missing: str) -> None:
    given = files(a="vmlinux f g\n")
    del given[missing]
    with pytest.raises(Refusal, match="suse-fix-incomplete"):
        suse.expand("fixes", given, "6.1")


def test_fix_without_an_init_function_is_refused() -> None:
    given = files(a="vmlinux f g\n") | {"a/livepatch_a.h": b"void livepatch_a_cleanup(void);\n"}
    with pytest.raises(Refusal, match="suse-fix-incomplete"):
        suse.expand("fixes", given, "6.1")
