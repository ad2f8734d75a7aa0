# SPDX-License-Identifier: GPL-2.0-or-later
"""Patches that cannot become a live patch, given to the real command line: what it says, and that
it leaves nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.examples import shows
from tests.patches import Edit, diff

MEMINFO, LOOP, NMI = "fs/proc/meminfo.c", "drivers/block/loop.c", "arch/x86/kernel/nmi.c"
PKTGEN = "net/core/pktgen.c"
FIRST = Edit(MEMINFO, '"MemTotal:       "', '"SutTotal:       "')
LAST = Edit(
    MEMINFO,
    "\tarch_report_meminfo(m);\n",
    '\tarch_report_meminfo(m);\n\tseq_puts(m, "Suture\\n");\n',
)
SHOW = "static int meminfo_proc_show("


def refused(place: Place, text: str | bytes) -> Refusal:
    place.patch(text)
    return place.refused(*place.build("my.patch"))


def reverse(patch: str) -> str:
    """The patch that takes another back, for patches whose added and removed lines stand in
    pairs."""
    swapped = [
        re.sub(r"^[+-](?![+-]{2} )", lambda sign: "-" if sign[0] == "+" else "+", line)
        for line in patch.splitlines(keepends=True)
    ]
    return "".join(swapped)


def test_a_hunk_that_does_not_fit_is_named_and_shown(place: Place, workspace: Workspace) -> None:
    patch = diff(workspace.tree, FIRST, LAST)
    hunk, at = 2, int(re.findall(r"^@@ -(\d+)", patch, re.MULTILINE)[1])
    error = refused(place, patch.replace(" \tarch_report_meminfo(m);", " \tarch_report_memory(m);"))
    assert error.code == "patch-does-not-apply"
    assert error.where == "my.patch"
    assert error.found == f"hunk {hunk} of {MEMINFO} fails at line {at}"
    assert "\tarch_report_meminfo(m);" in "\n".join(error.evidence)
    assert "\tarch_report_memory(m);" in "\n".join(error.evidence)


def test_a_file_that_the_source_does_not_have_is_named(place: Place, workspace: Workspace) -> None:
    error = refused(place, diff(workspace.tree, FIRST).replace("meminfo.c", "no_such.c"))
    assert (error.code, error.found) == (
        "patch-does-not-apply",
        "the target's source has no fs/proc/no_such.c",
    )


def test_a_fix_that_the_target_has_is_no_failure_of_the_patch(
    place: Place, workspace: Workspace
) -> None:
    error = refused(place, reverse(diff(workspace.tree, FIRST)))
    assert error.code == "patch-already-applied"
    assert MEMINFO in error.found


def test_the_second_of_two_patches_is_the_one_named(place: Place, workspace: Workspace) -> None:
    """It would fit by itself, and does not fit after the first."""
    place.patch(diff(workspace.tree, FIRST), "first.patch")
    place.patch(
        diff(workspace.tree, Edit(MEMINFO, '"MemTotal:       "', '"SutMem:       "')),
        "second.patch",
    )
    error = place.refused(*place.build("first.patch", "second.patch"))
    assert (error.code, error.where) == ("patch-does-not-apply", "second.patch")


UNCHANGED = {
    "a local variable has another name": (
        Edit(MEMINFO, "struct proc_dir_entry *pde;", "struct proc_dir_entry *entry;"),
        Edit(MEMINFO, "pde = proc_create_single(", "entry = proc_create_single("),
        Edit(MEMINFO, "pde_make_permanent(pde)", "pde_make_permanent(entry)"),
    ),
    "only comments": (
        Edit(MEMINFO, SHOW, f"/* What /proc/meminfo shows,\n * line by line.\n */\n{SHOW}"),
    ),
    "only a document": (
        Edit("Documentation/livepatch/livepatch.rst", "Livepatch\n", "Live patch\n"),
    ),
    "code that this configuration leaves out": (
        Edit(MEMINFO, SHOW, f"#ifdef CONFIG_NO_SUCH_OPTION\nint suture_test;\n#endif\n{SHOW}"),
    ),
}


@pytest.mark.parametrize("edits", UNCHANGED.values(), ids=UNCHANGED)
def test_a_patch_without_code_is_refused(
    place: Place, workspace: Workspace, edits: tuple[Edit, ...]
) -> None:
    error = refused(place, diff(workspace.tree, *edits))
    assert error.code == "no-code-change"
    assert error.where in ("the patch", edits[0].path)


OUT_OF_REACH = {
    "a file that is not built": (
        Edit(
            "fs/proc/task_nommu.c", "static int show_map(", "int suture_test;\nstatic int show_map("
        ),
        "file-not-built",
        "fs/proc/task_nommu.c",
        "",
    ),
    "an assembly file": (
        Edit(
            "arch/x86/lib/memcpy_64.S",
            "SYM_FUNC_START_LOCAL(memcpy_orig)",
            "\nSYM_FUNC_START_LOCAL(memcpy_orig)",
        ),
        "assembly-file",
        "arch/x86/lib/memcpy_64.S",
        "",
    ),
    "code of the vDSO": (
        Edit(
            "arch/x86/entry/vdso/vclock_gettime.c",
            "\treturn __cvdso_time(t);",
            "\treturn __cvdso_time(t) + 1;",
        ),
        "separate-program",
        "arch/x86/entry/vdso/vclock_gettime.c",
        "is part of the vDSO",
    ),
    "real-mode code": (
        Edit(
            "arch/x86/realmode/rm/trampoline_64.S",
            "SYM_CODE_START(trampoline_start)\n",
            "SYM_CODE_START(trampoline_start)\n\tnop\n",
        ),
        "separate-program",
        "arch/x86/realmode/rm/trampoline_64.S",
        "is part of the real-mode code",
    ),
    "a makefile": (
        Edit("fs/proc/Makefile", "proc-y	+= meminfo.o", "proc-y	+= meminfo.o suture_test.o"),
        "build-system-changed",
        "fs/proc/Makefile",
        "",
    ),
    "__init code": (
        Edit(MEMINFO, '("meminfo", 0', '("meminfos", 0'),
        "init-function-changed",
        MEMINFO,
        r"proc_meminfo_init\(\) is in \.init\.text",
    ),
    "the init function of a module": (
        Edit(LOOP, '"loop: module loaded', '"loop: Module loaded'),
        "init-function-changed",
        LOOP,
        r"loop_init\(\) is in \.init\.text",
    ),
    "__exit code": (
        Edit(
            LOOP,
            "static void __exit loop_exit(void)\n{\n",
            "static void __exit loop_exit(void)\n{\n\tcond_resched();\n",
        ),
        "exit-function-changed",
        LOOP,
        r"loop_exit\(\) is in \.exit\.text",
    ),
    "an initial value": (
        Edit(LOOP, "int hw_queue_depth = ", "int hw_queue_depth = 1 + "),
        "data-changed",
        LOOP,
        r"initial value of hw_queue_depth",
    ),
    "a new module parameter": (
        Edit(
            LOOP,
            "static int hw_queue_depth",
            "static int neu;\nmodule_param(neu, int, 0444);\nstatic int hw_queue_depth",
        ),
        "no-code-change",
        LOOP,
        r"the new line parmtype=neu:int is in \.modinfo|the new parameter neu is in __param",
    ),
    "a new export": (
        Edit(
            MEMINFO,
            SHOW,
            f"void suture_test(void);\nvoid suture_test(void)\n{{\n}}\nEXPORT_SYMBOL(suture_test);\n{SHOW}",
        ),
        "no-code-change",
        MEMINFO,
        r"the new export suture_test is in ___ksymtab\+suture_test",
    ),
    "another initcall level": (
        Edit(MEMINFO, "fs_initcall(proc_meminfo_init)", "late_initcall(proc_meminfo_init)"),
        "init-function-changed",
        MEMINFO,
        r"initcall proc_meminfo_init is in \.initcall[57]\.init",
    ),
    "a function that assembly calls": (
        Edit(
            NMI,
            "__this_cpu_write(last_nmi_rip, regs->ip);",
            "__this_cpu_write(last_nmi_rip, regs->ip + 1);",
        ),
        "caller-uncertain",
        f"{NMI}: exc_nmi()",
        r"is called by asm_exc_nmi.* in vmlinux",
    ),
    "the main function of kernel threads": (
        Edit(PKTGEN, 'pr_debug("starting pktgen/', 'pr_info("starting pktgen/'),
        "thread-function-replaced",
        f"{PKTGEN}: pktgen_thread_worker()",
        r"asks in a loop whether its thread is to stop",
    ),
    "code that does not compile": (
        Edit(MEMINFO, "\tsi_meminfo(&i);", "\tsi_meminfo(&no_such_variable);"),
        "patch-does-not-compile",
        MEMINFO,
        "",
    ),
}


@pytest.mark.parametrize(
    ("edit", "code", "where", "found"), OUT_OF_REACH.values(), ids=OUT_OF_REACH
)
def test_a_change_that_no_live_patch_can_make_is_refused(
    place: Place, workspace: Workspace, edit: Edit, code: str, where: str, found: str
) -> None:
    error = refused(place, diff(workspace.tree, edit))
    assert (error.code, re.sub(r":\d+", "", error.where)) == (code, where)
    assert re.search(found, error.found)
    match code:
        case "file-not-built":
            shows(error, "file-not-built")
        case "exit-function-changed":
            shows(error, "exit-function-changed")
        case "patch-does-not-compile":
            shows(error, "patch-does-not-compile")
        case "thread-function-replaced":
            shows(error, "thread-function-replaced")


def test_a_module_that_may_be_loaded_later_is_said_to_run_its_old_init(
    place: Place, workspace: Workspace
) -> None:
    error = refused(
        place, diff(workspace.tree, Edit(LOOP, '"loop: module loaded', '"loop: Module loaded'))
    )
    shows(error, "init-function-changed")
    assert "where the module is loaded after the live patch, its old code runs" in error.why


DATA = ("--patch-data", "suture_test")


def test_data_that_the_patch_leaves_alone_cannot_be_named(
    place: Place, workspace: Workspace
) -> None:
    place.patch(diff(workspace.tree, FIRST))
    shows(place.refused(*place.build("my.patch", *DATA)), "data-not-changed")
    shows(place.refused(*place.build("my.patch", *DATA, "--no-replace")), "data-needs-replace")


DIGSIG, CALLER, HEADER = "lib/digsig.c", "security/integrity/digsig.c", "include/linux/digsig.h"
OLD = "int digsig_verify(struct key *keyring, const char *sig, int siglen,"
NEW = "int digsig_verify(struct key *keyring, bool strict, const char *sig, int siglen,"
USE = "\tint err = -ENOMEM;\n\tstruct signature_hdr"

STRICT = (
    *(Edit(path, OLD, NEW) for path in (DIGSIG, HEADER)),
    Edit(DIGSIG, USE, USE.replace("-ENOMEM", "strict ? -ENOMEM : -EINVAL")),
    Edit(CALLER, "digsig_verify(keyring, sig + 1", "digsig_verify(keyring, true, sig + 1"),
)
"""Another prototype of an exported function, and of its callers in the kernel."""


def test_a_new_prototype_of_an_exported_function_is_refused(
    place: Place, workspace: Workspace
) -> None:
    """Also where all callers of this kernel are in the patch."""
    error = refused(place, diff(workspace.tree, *STRICT))
    shows(error, "exported-prototype-changed")
    assert error.where == f"{DIGSIG}: digsig_verify()"
    old, new = "struct key *, char *, int", "struct key *, _Bool, char *, int"
    assert error.found == f"was int ({old}, char *, int) and becomes int ({new}, char *, int)"


def test_a_caller_with_a_declaration_of_its_own_is_not_forgotten(
    place: Place, workspace: Workspace
) -> None:
    """The function has another prototype than the header, which its callers go by."""
    verify, include = "int integrity_digsig_verify(", '#include "integrity.h"'
    sig = "const unsigned int id, const char *sig, int siglen,"
    hidden = f"#define integrity_digsig_verify hidden\n{include}\n#undef integrity_digsig_verify"
    edits = [
        Edit(
            CALLER,
            include,
            f"{hidden}\n{verify}bool strict, {sig} const char *digest, int digestlen);",
        ),
        Edit(CALLER, f"{verify}{sig}", f"{verify}bool strict, {sig}"),
        Edit(CALLER, "\tif (siglen < 2)", "\tif (strict && siglen < 2)"),
    ]
    error = refused(place, diff(workspace.tree, *edits))
    shows(error, "prototype-changed")
    assert error.where == f"{CALLER}: integrity_digsig_verify()"
    assert re.search(
        r"evm\w*\(\) in security/integrity/evm/\w+\.c calls it as int \(unsigned int",
        error.evidence[0],
    )


def test_the_compilers_message_is_shown_with_the_authors_line(
    place: Place, workspace: Workspace
) -> None:
    edit = Edit(MEMINFO, "\tsi_meminfo(&i);", "\n\n\tsi_meminfo(&no_such_variable);")
    line = (workspace.tree / MEMINFO).read_text().replace(edit.old, edit.new).split("\n").index(
        "\tsi_meminfo(&no_such_variable);"
    ) + 1
    error = refused(place, diff(workspace.tree, edit))
    assert any(shown.startswith(f"{MEMINFO}:{line}:") for shown in error.evidence)


NO_PATCHES = {
    "prose": ("Dear maintainer,\nplease change a line.\n", "contains no hunk"),
    "an empty file": ("", "is empty"),
    "white space": ("\n \n\n", "is empty"),
    "a binary file": (bytes(range(256)) * 64, "is a binary file"),
    "random bytes": (bytes(range(1, 256)) * 64, "contains no hunk"),
    "one line of 10 MB": ("x" * 10_000_000, "contains no hunk"),
    "a context diff": (
        "*** a/fs/proc/meminfo.c\n--- b/fs/proc/meminfo.c\n***************\n*** 1,1 ****\n! a\n--- 1,1 ----\n! b\n",
        "contains no hunk",
    ),
    "a hunk that is cut off": (
        f"--- a/{MEMINFO}\n+++ b/{MEMINFO}\n@@ -1,9 +1,9 @@\n // SPDX\n",
        "announces 9 lines before and 9 after the change, and has 1 and 1",
    ),
    "a hunk with impossible numbers": (
        f"--- a/{MEMINFO}\n+++ b/{MEMINFO}\n@@ -1,99999999999999999999 +1,1 @@\n // SPDX\n",
        "the diff is damaged",
    ),
}


@pytest.mark.parametrize(("text", "found"), NO_PATCHES.values(), ids=NO_PATCHES)
def test_a_file_that_is_no_patch_is_refused(place: Place, text: str | bytes, found: str) -> None:
    error = refused(place, text)
    assert (error.code, error.where.partition(":")[0]) == ("not-a-patch", "my.patch")
    assert found in error.found


def test_dos_line_ends_are_said_to_be_that(place: Place, workspace: Workspace) -> None:
    error = refused(place, diff(workspace.tree, FIRST).replace("\n", "\r\n"))
    assert (error.code, error.where) == ("patch-has-crlf", "my.patch")


def test_a_patch_need_not_be_utf_8(place: Place, workspace: Workspace) -> None:
    patch = diff(
        workspace.tree,
        Edit(MEMINFO, '"MemTotal:       "', '"M\N{LATIN SMALL LETTER E WITH ACUTE}mTotal: "'),
    )
    place.patch(patch.encode("latin-1"))
    done = place.run(*place.build("my.patch"))
    assert done.returncode == 0, done.stderr
    assert b"M\xe9mTotal: " in (place.directory / "livepatch_my.ko").read_bytes()


ESCAPES = (
    "../../../etc/passwd",
    "fs/../../../etc/passwd",
    "fs/./proc/meminfo.c",
    "./fs/proc/meminfo.c",
)


@pytest.mark.parametrize("path", ESCAPES)
def test_a_path_out_of_the_tree_is_refused(place: Place, path: str) -> None:
    error = refused(place, f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-root\n+toor\n")
    assert (error.code, error.where) == ("patch-path-escapes", "my.patch")


def test_a_symbolic_link_in_the_tree_is_not_followed(place: Place, workspace: Workspace) -> None:
    """scripts/dtc/include-prefixes/ leads to directories all over the tree."""
    (link,) = [
        path
        for path in (workspace.tree / "scripts/dtc/include-prefixes").iterdir()
        if path.name == "dt-bindings"
    ]
    header = min(path for path in link.resolve().glob("*/*.h"))
    path = f"{link.relative_to(workspace.tree)}/{header.relative_to(link.resolve())}"
    first = header.read_text().split("\n")[0]
    error = refused(place, f"--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-{first}\n+/* */\n")
    assert (error.code, error.where) == ("patch-path-escapes", path)


@pytest.mark.parametrize("mode", ["120000", "160000"])
def test_a_new_symbolic_link_or_submodule_is_refused(place: Place, mode: str) -> None:
    header = f"diff --git a/fs/evil.c b/fs/evil.c\nnew file mode {mode}\n--- /dev/null\n+++ b/fs/evil.c\n"
    error = refused(place, f"{header}@@ -0,0 +1 @@\n+/etc/passwd\n\\ No newline at end of file\n")
    assert (error.code, error.where) == ("patch-path-escapes", "my.patch")


def test_a_name_that_is_no_module_name_is_refused(place: Place, workspace: Workspace) -> None:
    place.patch(diff(workspace.tree, FIRST))
    for name in ("a b", "", "x" * 56, "../x", "\N{LATIN SMALL LETTER E WITH ACUTE}"):
        assert place.refused(*place.build("my.patch", "--name", name)).code == "name-unusable"


def test_a_patch_file_may_have_a_longer_name_than_a_module(
    place: Place, workspace: Workspace
) -> None:
    name = f"0001-{'x' * 80}.patch"
    place.patch(diff(workspace.tree, FIRST), name)
    assert place.run(*place.build(name)).returncode == 0
    assert [len(path.stem) for path in place.directory.glob("*.ko")] == [55]


def test_a_patch_file_that_cannot_be_read_is_named(place: Place) -> None:
    error = place.refused(*place.build("no_such.patch"))
    assert (error.code, error.where) == ("file-unreadable", "no_such.patch")


def test_a_directory_of_nothing_is_named(place: Place) -> None:
    (place.directory / "directory").mkdir()
    error = place.refused(*place.build("directory"))
    assert (error.code, error.where) == ("format-unknown", "directory")


def test_a_program_is_no_input(place: Place) -> None:
    error = refused(place, Path("/bin/true").read_bytes())
    assert (error.code, error.where) == ("object-unsupported", "my.patch")


def test_code_whose_stack_objtool_cannot_follow_is_refused(
    place: Place, workspace: Workspace
) -> None:
    """Where kbuild runs objtool for each object, as in 6.1; elsewhere its doubts come at the link
    of the module."""
    pushes = Edit(
        MEMINFO,
        "\tarch_report_meminfo(m);\n",
        '\tarch_report_meminfo(m);\n\tasm volatile("push %rax");\n',
    )
    error = refused(place, diff(workspace.tree, pushes))
    assert error.code == "unwind-data-doubtful"
    assert error.where == MEMINFO
    assert "meminfo_proc_show" in error.found
