# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules for kpatch's own core, and ``suture diff``, which compares two objects."""

from __future__ import annotations

from bench.behaviour.model import Input
from bench.behaviour.parts import Part, compiled, given, text
from bench.behaviour.tables.steps import Words, build, inspect

OLD = "old.ko"
MITIGATIONS = ("-mfunction-return=thunk-extern", "-fcf-protection=branch", "-mmanual-endbr")
"""objtool looks after them: returns go by way of a thunk, and what is called by its address begins
with ENDBR, as the attribute cf_check says."""

TABLES = given("objects/tables.h")
SHOW = 'FUNC(one, "version_proc_show", "vmlinux", @version_proc_show@, 0, 0)\n'
ANYWHERE = SHOW.replace("@version_proc_show@", "0")
JIFFIES = 'DYNRELA(a, (char *)one + AT, "jiffies", "vmlinux", 0, 0, 0)\n'
CALLED = (
    "extern int panic_timeout;\n"
    "__attribute__((cf_check)) int begin(void *o) { panic_timeout++; return 0; }\n"
    "__attribute__((cf_check)) void end(void *o) { panic_timeout--; }\n"
    'CALLBACK("pre_patch", begin, one) CALLBACK("post_unpatch", end, one)\n'
)
OF_MODULE = (
    'FUNC(one, "memb_group_features_show", "null_blk", 0, 0, 0)\n'
    'DYNRELA(a, (char *)one + AT, "g_submit_queues", "null_blk", 0, 0, 0)\n'
)
INTERMEDIATE = 'RELOCATION(a, (char *)one + AT, "jiffies", "vmlinux")\n'
THREAD = r"""
extern int kthread_should_stop(void);
int thread(int x) { while (!kthread_should_stop()) asm volatile("" ::: "memory"); return x; }
FUNC(thread, "version_proc_show", "vmlinux", 0, 0, 0)
"""


def kpatch_object(*parts: str) -> dict[str, Part]:
    """A module as kpatch-build makes it, from the macros of ``objects/tables.h``."""
    return {OLD: compiled(TABLES + "".join(parts), *MITIGATIONS)}


BUILD_OLD: tuple[Words, ...] = (build(OLD, "-o", "anew.ko"),)

KPATCH = (
    Input("kpatch-object/code", (*BUILD_OLD, inspect("anew.ko")), kpatch_object(SHOW, JIFFIES)),
    Input("kpatch-object/inspected", (inspect(OLD),), kpatch_object(ANYWHERE), series=("6.1",)),
    Input("kpatch-object/callbacks", BUILD_OLD, kpatch_object(SHOW, JIFFIES, CALLED)),
    Input("kpatch-object/module", BUILD_OLD, kpatch_object(OF_MODULE)),
    Input("kpatch-object/intermediate", BUILD_OLD, kpatch_object(SHOW, INTERMEDIATE)),
    Input(
        "kpatch-object/thread",
        (build(OLD, "--replace-thread", "version_proc_show"),),
        kpatch_object(THREAD),
        series=("6.12",),
    ),
)

BEFORE = r"""
#define IN(name) __attribute__((section(name), used))
extern int hidden(const char *, int);
extern int exported(const char *, int);
static int state = 5;
IN(".init.data") int boot_value = 1;
static __attribute__((noinline)) int helper(int x) { return hidden("helped", x + state++); }
int shown(int x) { return helper(x) + hidden("shown", x) + exported("shown", state); }
"""
AFTER = BEFORE.replace('("shown", x)', '("SHOWN", x)')
ADDED = AFTER.replace(
    "int shown",
    "__attribute__((noinline)) static int added(int x) "
    '{ return x * 7 + hidden("new", x); }\nint shown',
).replace("return helper(x)", "return added(x) + helper(x)")
TRAPS = r"""
struct bug_entry { int addr, file; unsigned short line, flags; };
struct bug_entry *last;
extern int hidden(const char *, int);
int shown(int x)
{
	if (x == 3)
		asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n.long 1b - .\n.long 0\n"
			".word 1\n.word 0\n.popsection");
	return hidden("shown", x + last->line);
}
"""
NAMES = ("T hidden", "T exported", "t helper", "T shown", "d state", "B last")
SYMBOLS = "".join(f"ffffffff8100{at:04x} {name}\n" for at, name in enumerate(NAMES))
SYMVERS = "".join(
    f"0x00000000\t{name}\tvmlinux\tEXPORT_SYMBOL\t\n" for name in ("exported", "__fentry__")
)
LISTS = ("--symbols", "System.map", "--symvers", "Module.symvers", "--name", "fix")
COMPARE: Words = ("diff", "before.o", "after.o", "--object", "vmlinux", *LISTS)


def pair(before: str, after: str, *options: str) -> dict[str, Part]:
    """Two objects, and lists of symbols that go with them."""
    return {
        "before.o": compiled(before, *options),
        "after.o": compiled(after, *options),
        "System.map": text(SYMBOLS),
        "Module.symvers": text(SYMVERS),
    }


REAL_BEFORE = r"""
extern int _printk(const char *, ...);
extern int core_kernel_text(unsigned long);
int kernel_text_address(unsigned long address)
{
	_printk("asked for %lx\n", address);
	return core_kernel_text(address);
}
"""
REAL: Words = (
    *("diff", "before.o", "after.o", "--object", "vmlinux", "--symbols", "{kallsyms}"),
    *("--symvers", "{symvers}", "--name", "fix", "-o", "out.o"),
)
COMPARED = (
    Input("compared/function", (COMPARE,), pair(BEFORE, AFTER), series=("6.1",)),
    Input("compared/new-function", (COMPARE,), pair(BEFORE, ADDED), series=("6.1",)),
    Input(
        "compared/entry-size",
        ((*COMPARE, "--entry-size", "BUG=12"),),
        pair(TRAPS, TRAPS.replace('"shown"', '"SHOWN"')),
        series=("6.1",),
    ),
    Input(
        "compared/debug-information",
        (COMPARE,),
        pair(TRAPS, TRAPS.replace('"shown"', '"SHOWN"'), "-g"),
        series=("6.1",),
    ),
    Input(
        "compared/symbols-of-the-kernel",
        (REAL,),
        pair(REAL_BEFORE, REAL_BEFORE.replace("asked for", "Asked for")),
    ),
)

ALL = (*KPATCH, *COMPARED)
