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
