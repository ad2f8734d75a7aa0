# SPDX-License-Identifier: GPL-2.0-or-later
"""A report with something in each of its parts, for the tests of what is made of it."""

from __future__ import annotations

from suture.model import Fix
from suture.report.content import (
    FORMAT,
    AdaptedRow,
    CallbackRow,
    CheckRow,
    CodeRow,
    DataRow,
    FileHash,
    FindingRow,
    FunctionAccount,
    FunctionRole,
    LabCalls,
    LabComplaint,
    LabResult,
    LabScript,
    LiveMemory,
    LiveRow,
    Mark,
    OmittedRow,
    Origin,
    PatchReport,
    Problem,
    ProofRow,
    ReachedSymbol,
    ReportVerdict,
    SourceHunk,
    SourceLine,
)

SCRIPT = "</script><script>alert(1)</script>"
"""What an author's text must not do to a page."""

PROBLEM = Problem(
    "symbol-not-found", "fix.ko: gone", "is not exported", "Why.", "Do.", ("first", "second")
)

REPORT = PatchReport(
    FORMAT,
    Origin.BUILT,
    "livepatch_fix",
    "6.1.0-50-amd64",
    "6.1.176-1",
    ReportVerdict(True, "It fits.", ("one thing", "another"), ("the rest",)),
    fixes=(
        Fix(
            f"net: mend | and ` and {SCRIPT}",
            "Jane Doe <jane@example.org>",
            "2026-06-01T10:00:00+02:00",
            "1da177e4c3f4",
            ("CVE-2026-12345",),
            ("https://lore.kernel.org/r/1", "javascript:alert(1)"),
            ('1da177e4c3f4 ("Linux-2.6.12-rc2")',),
        ),
    ),
    hunks=(
        SourceHunk(
            "net/a.c",
            ("mended",),
            (
                SourceLine(Mark.SAME, 1, 1, "int mended(int x)"),
                SourceLine(Mark.REMOVED, 2, 0, "\treturn x < 1;"),
                SourceLine(Mark.ADDED, 0, 2, "\treturn x < 2;"),
            ),
        ),
        SourceHunk("net/a.h", ("LIMIT",), (SourceLine(Mark.ADDED, 0, 7, "#define LIMIT 2"),)),
    ),
    functions=(
        FunctionAccount(
            "vmlinux",
            "mended",
            2,
            "mended",
            "net/a.c",
            FunctionRole.REPLACED,
            "Its source changes.",
            (0,),
            8,
            9,
            (
                CodeRow(Mark.SKIPPED, "4 equal instructions", ""),
                CodeRow(Mark.SAME, "     4  ret", "     5  ret"),
                CodeRow(Mark.CHANGED, "     8  cmp $1,%edi", "     9  cmp $2,%edi"),
                CodeRow(Mark.REMOVED, "     c  nop", ""),
                CodeRow(Mark.ADDED, "", "     d  call <b>"),
            ),
            3,
        ),
        FunctionAccount(
            "nf_tables", "user", 0, "user", "net/b.c", FunctionRole.CARRIED, "It uses LIMIT."
        ),
    ),
    proofs=(ProofRow("vmlinux", "mended", 2, "net/a.c", "0xffffffff81000000", 8, 1, ("helper",)),),
    checks=(CheckRow("vmlinux", "mended", 2, "mended", "0xffffffff81000000", 16, 9, "same"),),
    findings=(
        FindingRow("warn", "lock-unpaired", "mended", "net/a.c:2", "a lock", "W.", "R.", ("e1",)),
        FindingRow("refuse", "layout-changed", "t", "net/a.h", "a type", because="it is private"),
    ),
    left_out=(OmittedRow("net/a.c", "start() in .init.text", "it ran once"),),
    adapted=(AdaptedRow("fix.patch", "with fuzz 1", "--- a/net/a.c\n+++ b/net/a.c\n"),),
    symbols=(
        ReachedSymbol(
            "helper", "livepatch", "vmlinux", 3, "vmlinux", 1, "0xffffffff81000040", ".klp.sym"
        ),
        ReachedSymbol("printk", "export", "vmlinux", 0, "", 0, "", "EXPORT_SYMBOL"),
    ),
    callbacks=(CallbackRow("vmlinux", "before it comes into force", "prepare", "net/a.c"),),
    data=(DataRow("vmlinux", "table", 0, 16),),
    shadow_variables=("0x1234",),
    stays=("its function tick() is handed to queue_work()",),
    files=(
        FileHash("module", "livepatch_fix.ko", "ab" * 32),
        FileHash("input", "fix.patch", "cd" * 32),
    ),
    build_id="0123",
    size=4096,
    compiler="gcc-12 12.2.0",
    suture="0.1.0",
    made="2026-11-29T08:00:00+00:00",
    seconds=2.5,
    live=LiveMemory(
        "",
        "0x1a00000",
        (
            LiveRow(
                "replaced",
                "vmlinux",
                "mended",
                "0xffffffff9a000000",
                16,
                "differs",
                rewritten=("return thunk (2)",),
                tracer="ftrace_trampoline",
                probes=("mended+0x5",),
                differences=("+0x5: expected 89, found 31",),
            ),
            LiveRow("reached", "udf", "helper", "", 0, "not compared", "udf is not loaded"),
        ),
    ),
    lab=LabResult(
        False,
        "6.1.0-50-amd64",
        "tcg",
        12.5,
        "2026-11-29T08:01:00+00:00",
        (LabScript("patched", 1, "not\nas it should"),),
        (LabCalls("vmlinux", "mended", 7), LabCalls("vmlinux", "other", None)),
        (LabComplaint("WARNING", ("WARNING: at net/a.c",)),),
        PROBLEM,
    ),
)
