# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules, written forms, kpatch objects and pairs of objects that are refused."""

from __future__ import annotations

from collections.abc import Mapping

from bench.behaviour.model import Input
from bench.behaviour.parts import (
    SOURCES,
    Part,
    compiled,
    diff,
    directory,
    of_source,
    text,
)
from bench.behaviour.tables.objects import (
    AFTER,
    ANYWHERE,
    BEFORE,
    COMPARE,
    JIFFIES,
    LISTS,
    OLD,
    SHOW,
    SYMBOLS,
    SYMVERS,
    THREAD,
    TRAPS,
    kpatch_object,
    pair,
)
from bench.behaviour.tables.places import NEW_VERSION
from bench.behaviour.tables.steps import PATCH, Words, build, convert, inspect
from bench.behaviour.tables.together import STATE, WRITTEN

HEAD = (
    "#include <linux/configfs.h>\n#include <linux/module.h>\n#include <linux/seq_file.h>\n"
    "#include <linux/{header}.h>\n"
)
NEW = "static int show(struct seq_file *m, void *v)\n{{\n\t{body}\n\treturn 0;\n}}\n"
TAIL = 'module_init(start);\nmodule_exit(stop);\nMODULE_LICENSE("GPL");\n'
GRAFTED = """
static struct kgr_patch patch = {{ .patches = {{ {table} {end} }} }};
static int __init start(void) {{ return kgr_patch_kernel(&patch); }}
static void __exit stop(void) {{ kgr_patch_remove(&patch); }}
"""
PATCHED = """
static struct klp_func funcs[] = {{ {functions} {end} }};
static struct klp_object objs[] = {{ {{ .name = {name}, .funcs = funcs }}, {{ }} }};
static struct klp_patch patch = {{ .mod = THIS_MODULE, .objs = objs }};
static int __init start(void) {{ {init} return klp_enable_patch(&patch); }}
static void __exit stop(void) {{ }}
"""
OF_MODULE = (
    "extern int g_submit_queues;\n"
    "static ssize_t feat(struct config_item *i, char *p) { return 0; }\n"
)


def kgraft(table: str = "", end: str = "KGR_PATCH_END", body: str = "", show: str = "") -> str:
    """A kGraft module with one thing about it that is not right."""
    code = show or NEW.format(body=body)
    tables = GRAFTED.format(table=table or "KGR_PATCH(version_proc_show, show),", end=end)
    return HEAD.format(header="kgraft") + code + tables + TAIL


def livepatch(
    functions: str = '{ .old_name = "version_proc_show", .new_func = show },',
    end: str = "{ }",
    name: str = "NULL",
    body: str = "",
    init: str = "",
    show: str = "",
) -> str:
    """The same of a livepatch module."""
    code = show or NEW.format(body=body)
    tables = PATCHED.format(functions=functions, end=end, name=name, init=init)
    return HEAD.format(header="livepatch") + code + tables + TAIL + 'MODULE_INFO(livepatch, "Y");\n'


C_FILES: Mapping[str, tuple[str, str]] = {
    "k-syntax": ("module-does-not-compile", kgraft(body="return m->no_such_member;")),
    "k-function": ("function-not-in-kernel", kgraft("KGR_PATCH(version_proc_shew, show),")),
    "k-object": ("object-unknown", kgraft('KGR_PATCH_OBJ(features_show, show, "nul_blk"),')),
    "k-end": ("kgraft-table-malformed", kgraft(end="")),
    "k-type": (
        "prototype-differs",
        kgraft(show="static long show(struct seq_file *m, void *v) { return 0; }\n"),
    ),
    "k-position": ("symbol-ambiguous", kgraft("KGR_PATCH(c_next, show),")),
    "k-init": ("init-function-changed", kgraft("KGR_PATCH(start_kernel, show),")),
    "k-untraced": ("function-not-traceable", kgraft("KGR_PATCH(memcpy, show),")),
    "k-call": ("syscall-unknown", kgraft("KGR_PATCH(sys_newuname_, show),")),
    "l-header": ("module-does-not-compile", '#include "gone.h"\n' + livepatch()),
    "l-end": ("livepatch-table-malformed", livepatch(end="")),
    "l-twice": (
        "function-replaced-twice",
        livepatch(2 * '{ .old_name = "version_proc_show", .new_func = show },'),
    ),
    "l-position": (
        "symbol-not-found",
        livepatch('{ .old_name = "c_next", .new_func = show, .old_sympos = 77 },'),
    ),
    "l-unpatched": (
        "object-not-patched",
        livepatch(
            show="extern int g_submit_queues KLP_RELOC_SYMBOL(null_blk, null_blk, "
            "g_submit_queues);\n" + NEW.format(body="return g_submit_queues;")
        ),
    ),
    "l-hook": (
        "callback-unusable",
        livepatch(
            show='#include "kpatch-macros.h"\nstatic void undo(patch_object *o) { }\n'
            "KPATCH_POST_UNPATCH_CALLBACK(undo);\n" + NEW.format(body="")
        ),
    ),
    "l-late": (
        "module-reference-unsafe",
        livepatch(
            '{ .old_name = "memb_group_features_show", .new_func = feat },',
            name='"null_blk"',
            show=OF_MODULE,
            init="if (g_submit_queues) return 1;",
        ),
    ),
    "l-plain": ("format-unknown", "#include <linux/module.h>\n"),
}
"""By name: the code, and the C file."""

CYCLE = {"a.c": text('#include "b.h"\n' + livepatch()), "b.h": text('#include "a.c"\n')}


def _series(number: int) -> tuple[str, ...]:
    """Each in turn."""
    return ("6.12",) if number % 3 == 0 else ("6.1",)


def _one(
    name: str,
    code: str,
    files: Mapping[str, Part],
    *steps: Words,
    series: tuple[str, ...] = ("6.1",),
) -> Input:
    return Input(f"refused/{name}", steps, files, code, series)


def _directory(name: str, code: str, makefile: str, source: str, *words: str) -> Input:
    """A directory with a Makefile and one C file."""
    files = {"fix/Makefile": text(makefile), "fix/one.c": text(source)}
    return _one(name, code, files, build("fix", *words))


SUSE = dict(directory(SOURCES / "suse", "suse"))
WITHOUT_TABLE = {
    path: part for path, part in SUSE.items() if path != "suse/null_blk/patched_funcs.csv"
}
BAD_TABLE = {**SUSE, "suse/null_blk/patched_funcs.csv": text("null_blk memb_group_features_show\n")}
PLACE_HOLDER = {
    **SUSE,
    "suse/livepatch_main.c": SUSE["suse/livepatch_main.c"].then(
        lambda main: main + b"@@KLP_PATCHES_OTHER@@\n"
    ),
}
SUSE15 = dict(directory(SOURCES / "suse15", "suse15"))
ABSENT = {**SUSE15, "suse15/bsc1000002/patched_funcs.csv": text("vmlinux gone klpp_gone\n")}
ASSEMBLER = {**SUSE15, "suse15/bsc1000002/entry.S": text("nop\n")}
GOOD, PLAIN, ONE = livepatch(), "#include <linux/module.h>\n", "obj-m := one.o\n"
TOO_OFTEN = 60_000
"""Makes 32 MiB, which is more than is read, of a small file."""

STATES = ("test_klp_state", "test_klp_state2", "test_klp_state3")
"""The third includes the second."""

DIRECTORIES = (
    _one("suse-table-missing", "suse-fix-incomplete", WITHOUT_TABLE, build("suse")),
    _one("suse-table", "patched-funcs-malformed", BAD_TABLE, build("suse"), series=("6.12",)),
    _one("suse-place-holder", "placeholder-left", PLACE_HOLDER, build("suse")),
    _one("suse-fix-absent", "suse-fixes-misfit", ABSENT, build("suse15")),
    _one("suse-assembler", "suse-fixes-misfit", ASSEMBLER, build("suse15")),
    _one(
        *("suse-fix-assembler", "suse-fix-assembler", ASSEMBLER),
        build("suse15", "--only", "bsc1000002"),
    ),
    _one("suse-fix-unknown", "suse-fix-unknown", SUSE15, build("suse15", "--only", "bsc9")),
    _directory(
        "makefile-function", "makefile-not-understood", "obj-m := $(shell echo one.o)\n", GOOD
    ),
    _directory("makefile-outside", "makefile-escapes", f"{ONE}ccflags-y := -I/usr/include\n", GOOD),
    _directory("plain-module", "format-unknown", ONE, PLAIN),
    _directory(
        *("plain-module-as-livepatch", "not-a-live-patch-source", ONE, PLAIN),
        *("--format", "livepatch"),
    ),
    _one("no-makefile", "not-a-module-source", {"fix/one.c": text(GOOD)}, build("fix")),
    _one(
        "two-modules",
        "modules-several",
        {
            "fix/Makefile": text("obj-m := one.o two.o\n"),
            "fix/one.c": text(GOOD),
            "fix/two.c": text(GOOD),
            PATCH: diff(NEW_VERSION),
        },
        build("fix", PATCH, "--name", "several"),
    ),
    _one(
        "too-large",
        "source-too-large",
        {"fix/Makefile": text(ONE), "fix/one.c": text(GOOD).then(lambda code: code * TOO_OFTEN)},
        build("fix"),
    ),
    _one("include-cycle", "include-cycle", CYCLE, build("a.c")),
    _one(
        "data-of-a-module",
        "module-stands-alone",
        {"fix.c": text(GOOD)},
        build("fix.c", "--patch-data", "x"),
    ),
    _one(
        "two-camps-one-function",
        "function-replaced-twice",
        {"fix.c": text(GOOD), PATCH: diff(NEW_VERSION)},
        build("fix.c", PATCH, "--name", "twice"),
        series=("6.12",),
    ),
    _one(
        "two-states",
        "states-several",
        {f"{name}.c": of_source(f"{STATE['6.1']}/{name}.c") for name in STATES},
        build("test_klp_state.c", "test_klp_state3.c", "--name", "both"),
    ),
)

LEAST = 'suture = 1\n\n[[source]]\nformat = "diff"\npath = "fix.patch"\n'
EXPECTED = '\n[[object]]\nname = "vmlinux"\nfunction = [{ old_name = "cmdline_proc_show" }]\n'


def _written(name: str, code: str, manifest: str) -> Input:
    files = {"fix/livepatch.toml": text(manifest), "fix/fix.patch": diff(NEW_VERSION)}
    return _one(name, code, files, build("fix"))


FORMS = (
    _written("written-field", "written-form-invalid", LEAST + "colour = 1\n"),
    _written("written-version", "written-form-newer", LEAST.replace("suture = 1", "suture = 99")),
    _written("written-outside", "source-escapes", LEAST.replace("fix.patch", "../fix.patch")),
    _written("written-other-functions", "model-differs", LEAST + EXPECTED),
    _one(
        "written-twice",
        "output-exists",
        {PATCH: diff(NEW_VERSION), WRITTEN: text("")},
        convert(PATCH, "-o", WRITTEN),
    ),
)

OBJECTS = (
    ("no-table", "kpatch-object-malformed", ""),
    ("address", "kpatch-object-foreign", SHOW.replace("@,", "@ + 16,")),
    ("size", "kpatch-object-foreign", SHOW.replace("@, 0", "@, 7777")),
    ("release", "kpatch-object-foreign", SHOW + 'MODINFO("6.1.0-1-toy")\n'),
    ("function", "function-not-in-kernel", 'FUNC(one, "no_such", "vmlinux", 0, 0, 0)\n'),
    ("namesakes", "symbol-ambiguous", 'FUNC(one, "c_start", "vmlinux", 0, 0, 0)\n'),
    ("init", "init-function-changed", 'FUNC(one, "proc_version_init", "vmlinux", 0, 0, 0)\n'),
    ("symbol", "symbol-not-found", SHOW + JIFFIES.replace("jiffies", "no_such")),
    (
        "thread",
        "thread-function-replaced",
        THREAD,
    ),
    (
        "shared",
        "kpatch-object-shared",
        "static int count; int outer(int x) { return count += x; }\n"
        "int inner(int x) { return count *= x; }\n"
        'FUNC(outer, "version_proc_show", "vmlinux", 0, 0, 0)\n'
        'FUNC(inner, "memb_group_features_show", "null_blk", 0, 0, 0)\n',
    ),
)
"""Modules for kpatch's own core: name, code, and text behind the macros of the tables."""

SAME = pair(BEFORE, BEFORE)
CHANGED = pair(BEFORE, AFTER)
RETURN = "return helper(x)"
NO_NAME = 'asm(".data\\n.zero 16\\n.text");\n'
UNNAMED = 'asm volatile("incl .data+4(%rip)"); '
ONE_COUNT = BEFORE.replace(RETURN, f"static int count; count += x; {RETURN} + count")
TWO_COUNTS = AFTER.replace(
    RETURN,
    "int sum = x; { static int count; sum += count += x; } { static int count; sum ^= count -= x; }"
    f" {RETURN} + sum",
)
FOREIGN = "int foreign(void);\n" + AFTER.replace("state); }", "state) + foreign(); }")
OF_A_MODULE = SYMBOLS + "".join(
    f"ffffffffc000{at:04x} {name}\t[my_mod]\n"
    for at, name in enumerate(("t helper", "T shown", "d state"))
)
QUIET = "__attribute__((no_instrument_function)) int shown"
COMPARED = (
    _one("compared-same", "no-code-change", SAME, COMPARE),
    _one("compared-text", "object-malformed", {**CHANGED, "after.o": text("text")}, COMPARE),
    _one("compared-no-list", "kallsyms-malformed", {**CHANGED, "System.map": text("")}, COMPARE),
    _one(
        "compared-no-symvers", "symvers-malformed", {**CHANGED, "Module.symvers": text("")}, COMPARE
    ),
    _one(
        "compared-module",
        "object-not-listed",
        CHANGED,
        ("diff", "before.o", "after.o", "--object", "xfs", *LISTS),
    ),
    _one(
        "compared-data",
        "data-changed",
        pair(BEFORE, AFTER.replace("state = 5", "state = 6")),
        COMPARE,
    ),
    _one(
        "compared-init",
        "init-referenced",
        pair(BEFORE, AFTER.replace('"SHOWN", x', '"SHOWN", boot_value')),
        COMPARE,
    ),
    _one(
        "compared-no-fentry",
        "function-not-traceable",
        pair(BEFORE.replace("int shown", QUIET), AFTER.replace("int shown", QUIET)),
        COMPARE,
    ),
    _one(
        "compared-size-unknown",
        "entry-size-unknown",
        pair(TRAPS, TRAPS.replace('"shown"', '"SHOWN"')),
        COMPARE,
    ),
    _one(
        "compared-size-wrong",
        "entry-malformed",
        pair(TRAPS, TRAPS.replace('"shown"', '"SHOWN"')),
        (*COMPARE, "--entry-size", "BUG=8"),
    ),
    _one(
        "compared-relocation",
        "relocation-unsupported",
        pair(
            BEFORE,
            AFTER.replace(
                "return helper(x)",
                'asm volatile("movq exported@GOTPCREL(%rip), %rax"); return helper(x)',
            ),
        ),
        COMPARE,
    ),
    _one(
        "compared-table",
        "section-changed",
        pair(
            BEFORE,
            AFTER.replace(
                "int shown", 'const long neu IN("__governor_thermal_table") = 1;\nint shown'
            ),
        ),
        COMPARE,
    ),
    _one(
        "compared-symbol",
        "symbol-unsupported",
        pair(BEFORE, NO_NAME + AFTER.replace(RETURN, UNNAMED + RETURN)),
        COMPARE,
    ),
    _one("compared-locals", "ambiguous-local", pair(ONE_COUNT, TWO_COUNTS), COMPARE),
    _one(
        "compared-dependency",
        "module-dependency-new",
        {
            **pair(BEFORE, FOREIGN),
            "System.map": text(OF_A_MODULE),
            "Module.symvers": text(SYMVERS + "0x00000000\tforeign\tthird_mod\tEXPORT_SYMBOL\t\n"),
        },
        ("diff", "before.o", "after.o", "--object", "my_mod", *LISTS),
    ),
    _one(
        "key",
        "key-unusable",
        {"fix.ko": compiled(BEFORE), "key.pem": text("no key\n"), "signer.pem": text("none\n")},
        ("sign", "fix.ko", "--key", "key.pem", "--certificate", "signer.pem"),
    ),
    _one(
        "inspected-object", "not-a-live-patch", {"plain.ko": compiled(BEFORE)}, inspect("plain.ko")
    ),
    _one("inspected-text", "object-malformed", {"text.ko": text("text")}, inspect("text.ko")),
    _one("inspected-nothing", "file-unreadable", {}, inspect("no_such.ko")),
)

ALL = (
    *(
        _one(name, code, {"fix.c": text(source)}, build("fix.c"), series=_series(number))
        for number, (name, (code, source)) in enumerate(C_FILES.items())
    ),
    *DIRECTORIES,
    *FORMS,
    *(
        _one(
            f"kpatch-object-{name}", code, kpatch_object(source), build(OLD), series=_series(number)
        )
        for number, (name, code, source) in enumerate(OBJECTS)
    ),
    _one(
        "kpatch-object-and-diff",
        "function-replaced-twice",
        {**kpatch_object(ANYWHERE), PATCH: diff(NEW_VERSION)},
        build(OLD, PATCH, "--name", "twice"),
    ),
    *COMPARED,
)
