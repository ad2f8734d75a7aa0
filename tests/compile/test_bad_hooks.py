# SPDX-License-Identifier: GPL-2.0-or-later
"""kpatch's and Ksplice's macros used wrongly: each mistake has a code, and the line where it is."""

from __future__ import annotations

import pytest

from suture.builder.source_diffs import parts_of_diffs
from suture.errors import Refusal
from suture.formats.diff import PatchSource, parse
from suture.kernel.release import Target
from suture.verify.kernel import Kernel
from suture.workspace.prepare import Workspace
from tests.examples import shows
from tests.patches import Edit, appended, diff

VERSION = "fs/proc/version.c"
NEW_VERSION = Edit(
    VERSION,
    "seq_printf(m, linux_proc_banner,",
    'seq_puts(m, "Sutured ");\n\tseq_printf(m, linux_proc_banner,',
)
KPATCH, KSPLICE = '#include "kpatch-macros.h"\n', '#include "ksplice-patch.h"\n'
PRE = "static int pre(patch_object *obj) { return 0; }\n"
AGAIN = "static int again(patch_object *obj) { return 0; }\nKPATCH_PRE_PATCH_CALLBACK(again);\n"
HOOK = "static void hook(void) { }\n"
AT_BOOT = "static void __init hook(void) { }\n"
CHECK = "static int check(void) { return jiffies & 1; }\n"

MISTAKES = (
    # kpatch
    ("header", f'#include "kpatch-marcos.h"\n{PRE}', "patch-header-unknown", "kpatch-marcos.h"),
    (
        "macro",
        f"{KPATCH}{PRE}KPATCH_PRE_CALLBACK(pre);\n",
        "patch-macro-unknown",
        "KPATCH_PRE_CALLBACK()",
    ),
    ("function", f"{KPATCH}{PRE}KPATCH_PRE_PATCH_CALLBACK(per);\n", "patch-macro-unknown", "(per)"),
    (
        "twice",
        f"{KPATCH}{PRE}KPATCH_PRE_PATCH_CALLBACK(pre);\n{AGAIN}",
        "callback-duplicate",
        "already registers pre",
    ),
    (
        "signature",
        f"{KPATCH}{HOOK}KPATCH_PRE_PATCH_CALLBACK(hook);\n",
        "patch-does-not-compile",
        "incompatible",
    ),
    (
        "old hook",
        f"{KPATCH}{PRE}KPATCH_LOAD_HOOK(pre);\n",
        "patch-does-not-compile",
        "incompatible",
    ),
    ("init", f"{KPATCH}{AT_BOOT}KPATCH_LOAD_HOOK(hook);\n", "callback-unusable", ".init.text"),
    (
        "elsewhere",
        f"{KPATCH}KPATCH_LOAD_HOOK(ctrl_alt_del);\nvoid ctrl_alt_del(void);\n",
        "patch-does-not-compile",
        "",
    ),
    (
        "no such section",
        f'{KPATCH}KPATCH_IGNORE_SECTION(".data.nothing");\n',
        "ignored-not-found",
        ".data.nothing",
    ),
    (
        "not a function",
        f"{KPATCH}static int number;\nKPATCH_FORCE_UNSAFE(&number);\n",
        "callback-unusable",
        ".kpatch.force",
    ),
    (
        "unfinished",
        f"{KPATCH}{PRE}KPATCH_PRE_PATCH_CALLBACK(pre\n",
        "patch-does-not-compile",
        "unterminated",
    ),
    # Ksplice
    (
        "Ksplice header",
        f'#include "ksplice-hooks.h"\n{HOOK}',
        "patch-header-unknown",
        "ksplice-hooks.h",
    ),
    (
        "Ksplice macro",
        f"{KSPLICE}{HOOK}ksplice_after_apply(hook);\n",
        "patch-macro-unknown",
        "after_apply()",
    ),
    ("Ksplice function", f"{KSPLICE}{HOOK}ksplice_apply(hok);\n", "patch-macro-unknown", "(hok)"),
    (
        "Ksplice signature",
        f"{KSPLICE}{HOOK}ksplice_pre_apply(hook);\n",
        "patch-does-not-compile",
        "incompatible",
    ),
    ("argument", f"{KSPLICE}{PRE}ksplice_pre_apply(pre);\n", "patch-does-not-compile", ""),
    ("veto", f"{KSPLICE}{CHECK}ksplice_pre_reverse(check);\n", "reversal-veto", "check() is in"),
    (
        "stopped veto",
        f"{KSPLICE}{CHECK}ksplice_check_reverse(check);\n",
        "reversal-veto",
        "check() is in",
    ),
    (
        "stage",
        f"{KSPLICE}{HOOK}ksplice_call_void(later, hook);\n",
        "callback-unusable",
        ".ksplice_call_later",
    ),
    ("Ksplice init", f"{KSPLICE}{AT_BOOT}ksplice_apply(hook);\n", "callback-unusable", ".init."),
    (
        "shadow field without type",
        f"{KSPLICE}DEFINE_SHADOW_FIELD(struct nowhere_known, struct no_such, GFP_KERNEL, shown, memset);\n",
        "patch-does-not-compile",
        "",
    ),
    (
        "Ksplice unfinished",
        f"{KSPLICE}{HOOK}ksplice_apply(hook\n",
        "patch-does-not-compile",
        "unterminated",
    ),
)


@pytest.fixture(scope="module")
def kernel(target: Target) -> Kernel:
    return Kernel(target)


SHOWN = {
    "patch-macro-unknown": ("macro",),
}
"""Examples on the page of refusals."""


@pytest.mark.parametrize(
    ("name", "text", "code", "found"), MISTAKES, ids=[row[0] for row in MISTAKES]
)
def test_it_is_refused_with_file_and_line(
    workspace: Workspace, kernel: Kernel, name: str, text: str, code: str, found: str
) -> None:
    patch = diff(workspace.tree, NEW_VERSION, appended(VERSION, text))
    source = PatchSource((parse("fix.patch", patch.encode()),))
    with pytest.raises(Refusal) as refused:
        parts_of_diffs(source, kernel, workspace)
    error = refused.value
    assert error.code == code
    if (name,) in SHOWN.values():
        shows(error, code)
    assert found in f"{error.found} {' '.join(error.evidence)}"
    # The compiler's lines name the place where it is the compiler that finds the mistake.
    named = [error.where] if code != "patch-does-not-compile" else error.evidence
    lines = [
        int(part)
        for text in named
        for part in text.removeprefix(f"{VERSION}:").split(":")[:1]
        if part.isdigit()
    ]
    first = patch_line(workspace, text)
    assert any(first <= line <= first + text.count("\n") for line in lines), named


def patch_line(workspace: Workspace, text: str) -> int:
    """The line of the patched file at which `text` begins; the patch adds one line before."""
    before = (workspace.tree / VERSION).read_text().partition("\nfs_initcall(")[0]
    return before.count("\n") + 2 + 1
