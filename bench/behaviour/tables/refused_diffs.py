# SPDX-License-Identifier: GPL-2.0-or-later
"""Source diffs that no live patch can be made of, each with the code that says why."""

from __future__ import annotations

import re
from pathlib import Path

from bench.behaviour.model import Input
from bench.behaviour.parts import Edit, Part, appended, diff, file, text
from bench.behaviour.tables.diffs import OTHER_WORDS
from bench.behaviour.tables.ksplice import HEADER
from bench.behaviour.tables.places import (
    DIGSIG,
    DIGSIG_CALLER,
    DIGSIG_HEADER,
    LOOP,
    MEMINFO,
    NEW_END,
    NEW_TABLE,
    NEW_THREAD,
    NEW_TOTAL,
    NEW_VERSION,
    NO_CARRIER,
    REPORT,
    SHOW,
    VERSION,
)
from bench.behaviour.tables.steps import PATCH, build

FIRST, SECOND = ("6.1",), ("6.12",)
SI = "\tsi_meminfo(&i);"
KPATCH = '#include "kpatch-macros.h"\n'
HOOK = "static void hook(void) { }\n"
PRE = "static int pre(patch_object *obj) { return 0; }\n"
CHECK = "static int check(void) { return jiffies & 1; }\n"

VERIFY = "int digsig_verify(struct key *keyring, const char *sig, int siglen,"
STRICT = "int digsig_verify(struct key *keyring, bool strict, const char *sig, int siglen,"
USE = "\tint err = -ENOMEM;\n\tstruct signature_hdr"
EXPORTED = (
    *(Edit(path, VERIFY, STRICT) for path in (DIGSIG, DIGSIG_HEADER)),
    Edit(DIGSIG, USE, USE.replace("-ENOMEM", "strict ? -ENOMEM : -EINVAL")),
    Edit(DIGSIG_CALLER, "digsig_verify(keyring, sig + 1", "digsig_verify(keyring, true, sig + 1"),
)
INTEGRITY, INCLUDE = "int integrity_digsig_verify(", '#include "integrity.h"'
ID = "const unsigned int id, const char *sig, int siglen,"
HIDDEN = f"#define integrity_digsig_verify hidden\n{INCLUDE}\n#undef integrity_digsig_verify"
OWN_DECLARATION = (
    Edit(
        DIGSIG_CALLER,
        INCLUDE,
        f"{HIDDEN}\n{INTEGRITY}bool strict, {ID} const char *digest, int digestlen);",
    ),
    Edit(DIGSIG_CALLER, f"{INTEGRITY}{ID}", f"{INTEGRITY}bool strict, {ID}"),
    Edit(DIGSIG_CALLER, "\tif (siglen < 2)", "\tif (strict && siglen < 2)"),
)
LIQUIDIO = "drivers/net/ethernet/cavium/liquidio/octeon_mailbox.c"
"""Linked into liquidio and into liquidio_vf, until 6.3."""

WEAK = "void __attribute__((weak)) arch_report_meminfo(struct seq_file *m)\n{\n"
NEW_TRACEPOINT = Edit(
    MEMINFO,
    SHOW,
    "#include <linux/tracepoint.h>\n"
    "DECLARE_TRACE(suture_shown, TP_PROTO(int x), TP_ARGS(x));\n"
    f"DEFINE_TRACE(suture_shown, TP_PROTO(int x), TP_ARGS(x));\n{SHOW}",
)
QUIRK = Edit(
    "drivers/pci/quirks.c",
    "static void quirk_mmio_always_on(struct pci_dev *dev)\n{\n",
    "static void quirk_suture(struct pci_dev *dev)\n{\n}\n"
    "DECLARE_PCI_FIXUP_EARLY(0x1234, 0x5678, quirk_suture);\n"
    "static void quirk_mmio_always_on(struct pci_dev *dev)\n{\n",
)

CHANGES: dict[str, tuple[str, tuple[Edit, ...], tuple[str, ...]]] = {
    "comment": (
        "no-code-change",
        (Edit(MEMINFO, SHOW, f"/* What is shown,\n * line by line.\n */\n{SHOW}"),),
        FIRST,
    ),
    "new-parameter": (
        "no-code-change",
        (
            Edit(
                LOOP,
                "static int hw_queue_depth",
                "static int neu;\nmodule_param(neu, int, 0444);\nstatic int hw_queue_depth",
            ),
        ),
        SECOND,
    ),
    "header-comment": (
        "no-code-change",
        (Edit("include/linux/sched.h", "struct audit_context;", "\nstruct audit_context;"),),
        FIRST,
    ),
    "not-built": (
        "file-not-built",
        (Edit("fs/proc/task_nommu.c", "static int show_map(", "int x;\nstatic int show_map("),),
        FIRST,
    ),
    "assembly": (
        "assembly-file",
        (
            Edit(
                "arch/x86/lib/memcpy_64.S",
                "SYM_FUNC_START_LOCAL(memcpy_orig)",
                "\nSYM_FUNC_START_LOCAL(memcpy_orig)",
            ),
        ),
        FIRST,
    ),
    "vdso": (
        "separate-program",
        (
            Edit(
                "arch/x86/entry/vdso/vclock_gettime.c",
                "\treturn __cvdso_time(t);",
                "\treturn __cvdso_time(t) + 1;",
            ),
        ),
        SECOND,
    ),
    "makefile": (
        "build-system-changed",
        (Edit("fs/proc/Makefile", "proc-y	+= meminfo.o", "proc-y	+= meminfo.o x.o"),),
        FIRST,
    ),
    "init-function": (
        "init-function-changed",
        (Edit(MEMINFO, '("meminfo", 0', '("meminfos", 0'),),
        FIRST,
    ),
    "init-function-of-a-module": (
        "init-function-changed",
        (Edit(LOOP, '"loop: module loaded', '"loop: Module loaded'),),
        SECOND,
    ),
    "exit-function": (
        "exit-function-changed",
        (
            Edit(
                LOOP,
                "static void __exit loop_exit(void)\n{\n",
                "static void __exit loop_exit(void)\n{\n\tcond_resched();\n",
            ),
        ),
        FIRST,
    ),
    "initial-value": (
        "data-changed",
        (Edit(LOOP, "int hw_queue_depth = ", "int hw_queue_depth = 1 + "),),
        SECOND,
    ),
    "table": ("data-changed", (NEW_TABLE,), FIRST),
    "called-from-assembly": (
        "caller-uncertain",
        (
            Edit(
                "arch/x86/kernel/nmi.c",
                "__this_cpu_write(last_nmi_rip, regs->ip);",
                "__this_cpu_write(last_nmi_rip, regs->ip + 1);",
            ),
        ),
        FIRST,
    ),
    "thread": ("thread-function-replaced", (NEW_THREAD,), SECOND),
    "does-not-compile": (
        "patch-does-not-compile",
        (Edit(MEMINFO, SI, "\n\n\tsi_meminfo(&no_such_variable);"),),
        FIRST,
    ),
    "weak-function": (
        "function-not-in-kernel",
        (Edit(MEMINFO, WEAK, f'{WEAK}\tseq_puts(m, "Sutured\\n");\n'),),
        SECOND,
    ),
    "stack": (
        "unwind-data-doubtful",
        (Edit(MEMINFO, REPORT, f'{REPORT}\tasm volatile("push %rax");\n'),),
        FIRST,
    ),
    "stack-at-the-link": (
        "unwind-data-doubtful",
        (Edit(MEMINFO, REPORT, f'{REPORT}\tasm volatile("push %rax");\n'),),
        SECOND,
    ),
    "exported-prototype": ("exported-prototype-changed", EXPORTED, FIRST),
    "prototype": ("prototype-changed", OWN_DECLARATION, FIRST),
    "generated-header": (
        "generated-header-changed",
        (Edit("include/linux/mmzone.h", "enum zone_type {", "enum zone_type {\n\tZONE_SUTURE,"),),
        FIRST,
    ),
    "tracepoint": ("tracepoint-changed", (NEW_TRACEPOINT,), FIRST),
    "pci-quirk": ("section-changed", (QUIRK,), SECOND),
    "symbol": (
        "symbol-not-found",
        (
            Edit(MEMINFO, SHOW, f"extern int no_such_symbol;\n{SHOW}"),
            Edit(MEMINFO, SI, f"{SI}\n\ti.totalram += no_such_symbol;"),
        ),
        SECOND,
    ),
    "module-symbol": (
        "symbol-not-found",
        (
            Edit(MEMINFO, SHOW, f"extern int g_submit_queues;\n{SHOW}"),
            Edit(MEMINFO, SI, f"{SI}\n\ti.totalram += g_submit_queues;"),
        ),
        FIRST,
    ),
    "init-data": (
        "init-referenced",
        (
            Edit(
                VERSION,
                "static int version_proc_show(",
                "extern char __initdata boot_command_line[];\nstatic int version_proc_show(",
            ),
            Edit(
                VERSION,
                "seq_printf(m, linux",
                "seq_puts(m, boot_command_line);\n\tseq_printf(m, linux",
            ),
        ),
        FIRST,
    ),
    "shared-object": (
        "shared-object",
        (Edit(LIQUIDIO, "dev_info(&oct->pci_dev->dev,", "dev_dbg(&oct->pci_dev->dev,"),),
        FIRST,
    ),
    # macros of kpatch and Ksplice
    "kpatch-header": (
        "patch-header-unknown",
        (NEW_VERSION, appended(VERSION, f'#include "kpatch-marcos.h"\n{PRE}')),
        FIRST,
    ),
    "kpatch-macro": (
        "patch-macro-unknown",
        (NEW_VERSION, appended(VERSION, f"{KPATCH}{PRE}KPATCH_PRE_CALLBACK(pre);\n")),
        SECOND,
    ),
    "kpatch-callback-twice": (
        "callback-duplicate",
        (
            NEW_VERSION,
            appended(
                VERSION,
                f"{KPATCH}{PRE}KPATCH_PRE_PATCH_CALLBACK(pre);\n"
                f"{PRE.replace('pre', 'again')}KPATCH_PRE_PATCH_CALLBACK(again);\n",
            ),
        ),
        FIRST,
    ),
    "kpatch-init-hook": (
        "callback-unusable",
        (
            NEW_VERSION,
            appended(
                VERSION,
                f"{KPATCH}{HOOK.replace('void hook', 'void __init hook')}KPATCH_LOAD_HOOK(hook);\n",
            ),
        ),
        SECOND,
    ),
    "kpatch-ignored": (
        "ignored-not-found",
        (NEW_VERSION, appended(VERSION, f'{KPATCH}KPATCH_IGNORE_SECTION(".data.nothing");\n')),
        FIRST,
    ),
    "ksplice-macro": (
        "patch-macro-unknown",
        (NEW_VERSION, appended(VERSION, f"{HEADER}{HOOK}ksplice_after_apply(hook);\n")),
        FIRST,
    ),
    "ksplice-veto": (
        "reversal-veto",
        (NEW_VERSION, appended(VERSION, f"{HEADER}{CHECK}ksplice_pre_reverse(check);\n")),
        FIRST,
    ),
    "ksplice-stage": (
        "callback-unusable",
        (NEW_VERSION, appended(VERSION, f"{HEADER}{HOOK}ksplice_call_void(later, hook);\n")),
        SECOND,
    ),
    "kpatch-and-ksplice": (
        "format-ambiguous",
        (NEW_VERSION, appended(VERSION, f"{HEADER}{PRE}KPATCH_PRE_PATCH_CALLBACK(pre);\n")),
        FIRST,
    ),
}
"""By name: the code, the edits, and the kernels."""


def _reversed(patch: bytes) -> bytes:
    """The patch that takes another back, where added and removed lines stand in pairs."""

    def swapped(line: bytes) -> bytes:
        sign = {b"+": b"-", b"-": b"+"}
        return re.sub(rb"^[+-](?![+-]{2} )", lambda found: sign[found[0]], line)

    return b"".join(swapped(line) for line in patch.splitlines(keepends=True))


def _with(name: str, code: str, patch: Part, *words: str, series: tuple[str, ...] = FIRST) -> Input:
    return Input(f"refused/{name}", (build(PATCH, *words),), {PATCH: patch}, code, series)


ONE_LINE = "@@ -1 +1 @@\n-root\n+toor\n"
RENAME = (
    b"diff --git a/fs/proc/version.c b/fs/proc/versions.c\nsimilarity index 90%\n"
    b"rename from fs/proc/version.c\nrename to fs/proc/versions.c\n"
)
BINARY = b"diff --git a/x.bin b/x.bin\nindex 1..2 100644\nBinary files a/x.bin and b/x.bin differ\n"
LINK = (
    "diff --git a/fs/l b/fs/l\nnew file mode 120000\n--- /dev/null\n+++ b/fs/l\n"
    "@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n"
)
OTHER_CONTEXT = diff(NEW_TOTAL, NEW_END).then(
    lambda patch: patch.replace(b" \tarch_report_meminfo(m);", b" \tarch_report_memory(m);")
)
REMOVED = Part(lambda kernel: _removed(kernel.tree / VERSION), (VERSION,))


def _removed(path: Path) -> bytes:
    lines = path.read_text().splitlines(keepends=True)
    body = "".join(f"-{line}" for line in lines)
    return f"--- a/{VERSION}\n+++ /dev/null\n@@ -1,{len(lines)} +0,0 @@\n{body}".encode()


FILES = (
    _with("prose", "not-a-patch", text("Dear maintainer,\nplease change a line.\n")),
    _with("empty", "not-a-patch", text("")),
    _with(
        "cut-off", "not-a-patch", text(f"--- a/{MEMINFO}\n+++ b/{MEMINFO}\n@@ -1,9 +1,9 @@\n a\n")
    ),
    _with("binary", "patch-has-binary", diff(NEW_TOTAL).then(lambda p: BINARY + p)),
    _with("line-ends", "patch-has-crlf", diff(NEW_TOTAL).then(lambda p: p.replace(b"\n", b"\r\n"))),
    _with("escapes", "patch-path-escapes", text(f"--- a/../etc/x\n+++ b/../etc/x\n{ONE_LINE}")),
    _with("symbolic-link", "patch-path-escapes", text(LINK)),
    _with(
        "rename",
        "source-renamed",
        diff(NEW_VERSION).then(
            lambda p: RENAME + p.replace(b"b/fs/proc/version.c", b"b/fs/proc/versions.c")
        ),
    ),
    _with("removal", "source-removed", REMOVED),
    _with("context", "patch-does-not-apply", OTHER_CONTEXT),
    _with(
        "no-such-file",
        "patch-does-not-apply",
        diff(NEW_TOTAL).then(lambda p: p.replace(b"meminfo.c", b"none.c")),
    ),
    _with("applied", "patch-already-applied", diff(NEW_TOTAL).then(_reversed)),
    _with("program", "object-unsupported", file(Path("/bin/true"))),
)

DATA = diff(NEW_TABLE)
VALIDATE = "static int dummy_validate("
OPERATIONS = (
    "const void *suture_ops(void);\n"
    "const void *suture_ops(void)\n{\n\treturn &dummy_netdev_ops;\n}\n"
)
OPTIONS = (
    _with("name", "name-unusable", diff(NEW_TOTAL), "--name", "a b"),
    _with("no-data", "data-not-changed", diff(NEW_TOTAL), "--patch-data", "nothing"),
    _with(
        "data-and-no-replace",
        "data-needs-replace",
        DATA,
        "--patch-data",
        "mnemonics",
        "--no-replace",
    ),
    _with(
        "parameter",
        "data-unpatchable",
        diff(Edit(LOOP, "int hw_queue_depth = ", "int hw_queue_depth = 1 + ")),
        "--patch-data",
        "hw_queue_depth",
    ),
    _with(
        "kept-constant",
        "data-unkeepable",
        diff(NO_CARRIER, Edit(NO_CARRIER.path, VALIDATE, f"{OPERATIONS}{VALIDATE}")),
        "--keep-data",
        "dummy_netdev_ops",
        series=SECOND,
    ),
    _with("no-thread", "thread-not-replaced", diff(NEW_TOTAL), "--replace-thread", "kswapd"),
    _with("caller-depth", "function-not-traceable", diff(OTHER_WORDS), "--caller-depth", "0"),
    _with("caller-limit", "callers-too-many", diff(OTHER_WORDS), "--caller-limit", "2"),
    Input("refused/no-file", (build("no_such.patch"),), {}, "file-unreadable", FIRST),
    Input(
        "refused/no-kernel",
        (("build", PATCH, "--kernel", "no-such-kernel"),),
        {PATCH: diff(NEW_TOTAL)},
        "kernel-not-fetched",
        FIRST,
    ),
    Input(
        "refused/no-tree",
        (("build", PATCH, "--kernel-dir", "nowhere"),),
        {PATCH: diff(NEW_TOTAL)},
        "tree-incomplete",
        FIRST,
    ),
    Input(
        "refused/output",
        (build(PATCH, "-o", "fix.patch/fix.ko"),),
        {PATCH: diff(NEW_TOTAL)},
        "file-unreadable",
        FIRST,
    ),
    Input(
        "refused/second-patch",
        (build(PATCH, "two.patch"),),
        {
            PATCH: diff(NEW_TOTAL),
            "two.patch": diff(Edit(MEMINFO, '"MemTotal:       "', '"SutMem:       "')),
        },
        "patch-does-not-apply",
        SECOND,
    ),
)

ALL = (
    *(
        _with(name, code, diff(*edits), series=series)
        for name, (code, edits, series) in CHANGES.items()
    ),
    *FILES,
    *OPTIONS,
)
