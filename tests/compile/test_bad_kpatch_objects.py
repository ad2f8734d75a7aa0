# SPDX-License-Identifier: GPL-2.0-or-later
"""Modules for kpatch's own core that do not fit the target, or themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from suture.builder import build
from suture.builder.assemble import assemble
from suture.builder.inputs import Choices
from suture.builder.kpatch_objects import cut_kpatch_object
from suture.errors import Acceptance, Refusal
from suture.kernel.release import Target
from suture.model import VMLINUX
from suture.verify.kernel import Kernel
from tests.examples import shows
from tests.unit.toolchain import compile_c

TABLES = """
typedef unsigned long ulong;
#define IN(name) __attribute__((section(name), used, no_reorder, aligned(8)))
struct kpatch_patch_func { ulong new_addr, new_size, old_addr, old_size, sympos; char *name, *objname; };
struct kpatch_patch_dynrela { ulong dest, src, type, sympos; char *name, *objname; int external, addend; };
#define STRING(tag, text) static char tag[] IN(".kpatch.strings") = text;
#define FUNC(new, old, in, address, size, position) \\
    STRING(old_##new, old) STRING(in_##new, in) \\
    static struct kpatch_patch_func func_##new IN(".kpatch.funcs") = \\
        { (ulong)new, 0, address, size, position, old_##new, in_##new };
#define DYNRELA(tag, place, symbol, in, external, address, position) \\
    STRING(name_##tag, symbol) STRING(obj_##tag, in) \\
    static struct kpatch_patch_dynrela rela_##tag IN(".kpatch.dynrelas") = \\
        { (ulong)(place), address, 11, position, name_##tag, obj_##tag, external, 0 };
extern int not_exported(void);
int one(int x) { return x + 0x11223344; }
"""
GOOD = 'FUNC(one, "version_proc_show", "vmlinux", ADDRESS, 0, 0)'
JIFFIES = 'DYNRELA(a, (char *)one + AT, "jiffies", "vmlinux", 0, 0, 0)'

BAD = (
    ("no table", "", "kpatch-object-malformed", "has no section .kpatch.funcs"),
    (
        "unknown function",
        'FUNC(one, "no_such", "vmlinux", 0, 0, 0)',
        "function-not-in-kernel",
        "no symbol of that name",
    ),
    (
        "unknown object",
        'FUNC(one, "f", "no_such", 0, 0, 0)',
        "function-not-in-kernel",
        "no module of that name",
    ),
    ("address", GOOD.replace("ADDRESS", "ADDRESS + 16"), "kpatch-object-foreign", "was at 0x"),
    (
        "size",
        GOOD.replace("ADDRESS, 0", "ADDRESS, 7777"),
        "kpatch-object-foreign",
        "had 7777 bytes",
    ),
    (
        "init",
        'FUNC(one, "proc_version_init", "vmlinux", 0, 0, 0)',
        "init-function-changed",
        "freed after init",
    ),
    (
        "no fentry call",
        'FUNC(one, "native_sched_clock", "vmlinux", 0, 0, 0)',
        "function-not-traceable",
        "no fentry",
    ),
    ("namesakes", 'FUNC(one, "c_start", "vmlinux", 0, 0, 0)', "symbol-ambiguous", "which of them"),
    ("position", 'FUNC(one, "c_start", "vmlinux", 0, 0, 99)', "symbol-ambiguous", "number 99"),
    (
        "middle",
        'STRING(n, "version_proc_show") STRING(o, "vmlinux")'
        'static struct kpatch_patch_func m IN(".kpatch.funcs") = { (ulong)one + 1, 0, 0, 0, 0, n, o };',
        "kpatch-object-malformed",
        "not the start of a function",
    ),
    (
        "filled twice",
        GOOD + JIFFIES + JIFFIES.replace("a,", "b,"),
        "kpatch-object-malformed",
        "is filled in twice",
    ),
    (
        "one for two",
        GOOD + 'STRING(n, "uptime_proc_show") STRING(o, "vmlinux")'
        'static struct kpatch_patch_func m IN(".kpatch.funcs") = { (ulong)one, 0, 0, 0, 0, n, o };',
        "kpatch-object-malformed",
        "two old functions have one new one",
    ),
    (
        "symbol",
        GOOD + 'DYNRELA(a, (char *)one + AT, "no_such", "vmlinux", 0, 0, 0)',
        "symbol-not-found",
        "vmlinux has no symbol of that name",
    ),
    (
        "export",
        GOOD + 'DYNRELA(a, (char *)one + AT, "no_such", "vmlinux", 1, 0, 0)',
        "symbol-not-found",
        "not exported",
    ),
    (
        "another object's",
        GOOD + 'DYNRELA(a, (char *)one + AT, "null_init", "null_blk", 0, 0, 0)',
        "kpatch-object-shared",
        "relocated with null_blk",
    ),
    (
        "import",
        f"int outer(int x) {{ return not_exported() + x; }} {GOOD.replace('one', 'outer')}",
        "symbol-not-found",
        "not exported",
    ),
    (
        "shared variable",
        "static int count; int outer(int x) { return count += x; } int inner(int x) { return count *= x; }"
        'FUNC(outer, "version_proc_show", "vmlinux", 0, 0, 0)'
        'FUNC(inner, "memb_group_features_show", "null_blk", 0, 0, 0)',
        "kpatch-object-shared",
        "used by new code of null_blk and of vmlinux",
    ),
    (
        "callback of nobody",
        GOOD
        + 'static struct { void *f; char *o; } h IN(".kpatch.callbacks.later") = { one, in_one };',
        "kpatch-object-malformed",
        ".kpatch.callbacks.later is none of kpatch's sections",
    ),
)


@pytest.fixture(scope="module")
def kernel(target: Target) -> Kernel:
    return Kernel(target)


def made(kernel: Kernel, text: str) -> bytes:
    """:param text: AT is where code has a field of 32 bits, behind the call of five bytes and an
    opcode of two."""
    (address,) = kernel.vmlinux.addresses("version_proc_show")
    return compile_c(TABLES + text.replace("ADDRESS", f"{address:#x}").replace("AT", "7"))


def test_a_good_one_is_taken(kernel: Kernel) -> None:
    (cut,), left_out, _ = cut_kpatch_object(made(kernel, GOOD + JIFFIES), "old.ko", kernel)
    assert cut.functions == (("version_proc_show", 0),)
    assert [str(symbol) for symbol in cut.output.outside.values() if "jiffies" in str(symbol)]
    assert left_out == ()


SHOWN = {
    "kpatch-object-malformed": ("callback of nobody",),
    "kpatch-object-foreign": ("size",),
    "kpatch-object-shared": ("shared variable",),
}
"""Examples on the page of refusals."""


@pytest.mark.parametrize(("name", "text", "code", "found"), BAD, ids=[row[0] for row in BAD])
def test_it_is_refused(kernel: Kernel, name: str, text: str, code: str, found: str) -> None:
    with pytest.raises(Refusal) as refused:
        cut_kpatch_object(made(kernel, text), "old.ko", kernel)
    assert refused.value.code == code
    assert found in refused.value.found
    assert refused.value.where.startswith(("old.ko", VMLINUX, "no_such"))
    if (name,) in SHOWN.values():
        shows(refused.value, code)


def test_two_that_replace_the_same_function_are_refused(kernel: Kernel) -> None:
    cuts = [
        cut
        for name in ("one.ko", "two.ko")
        for cut in cut_kpatch_object(made(kernel, GOOD + JIFFIES), name, kernel)[0]
    ]
    with pytest.raises(Refusal) as refused:
        assemble("both", True, cuts)
    assert (refused.value.code, refused.value.where) == ("function-replaced-twice", "two.ko")
    assert "is replaced by one.ko too" in refused.value.found


def test_data_is_changed_for_source_diffs_alone(
    target: Target, kernel: Kernel, tmp_path: Path
) -> None:
    old = tmp_path / "old.ko"
    old.write_bytes(made(kernel, GOOD + JIFFIES))
    with pytest.raises(Refusal) as refused:
        build([old], target, output=tmp_path / "x.ko", choices=Choices(frozenset({"table"})))
    assert refused.value.code == "data-not-changed"
    assert list(tmp_path.iterdir()) == [old]


THREAD = r"""
extern char asked[];
extern int kthread_should_stop(void);
int waits(int x) { do asm volatile("asked: .byte 0xe8, 0, 0, 0, 0" ::: "memory"); while (x--); return x; }
int imports(int x) { while (!kthread_should_stop()) asm volatile("" ::: "memory"); return x; }
FUNC(waits, "version_proc_show", "vmlinux", 0, 0, 0)
STRING(n, "kthread_should_stop") STRING(o, "vmlinux")
static struct kpatch_patch_dynrela r IN(".kpatch.dynrelas") = { (ulong)(asked + 1), 0, 2, 0, n, o, 1, -4 };
"""


KSWAPD = r"""
int quick(void *p) { return 0; }
FUNC(quick, "kswapd", "vmlinux", 0, 0, 0)
"""


def test_a_main_function_of_the_targets_is_refused_whatever_the_new_code_is(
    target: Target, kernel: Kernel, tmp_path: Path
) -> None:
    old = tmp_path / "old.ko"
    old.write_bytes(made(kernel, KSWAPD))
    with pytest.raises(Refusal) as refused:
        build([old], target, output=tmp_path / "x.ko")
    assert (refused.value.code, refused.value.where) == (
        "thread-function-replaced",
        f"{old}: kswapd()",
    )
    asked = Choices(replace_threads=frozenset({"kswapd"}))
    built = build([old], target, output=tmp_path / "x.ko", choices=asked)
    assert [one.old_name for one in built.patch.objects[0].functions] == ["kswapd"]


def test_a_function_of_the_idle_loop_is_refused_whatever_the_author_knows_of_threads(
    target: Target, kernel: Kernel, tmp_path: Path
) -> None:
    old = tmp_path / "old.ko"
    old.write_bytes(made(kernel, KSWAPD.replace('"kswapd"', '"cpu_startup_entry"')))
    for names in ((), ("cpu_startup_entry",)):
        asked = Choices(replace_threads=frozenset(names))
        with pytest.raises(Refusal) as refused:
            build([old], target, output=tmp_path / "x.ko", choices=asked)
        assert refused.value.code == "idle-function-replaced"
    accepted = Acceptance("idle-function-replaced", "cpu_startup_entry", "never unloaded")
    built = build([old], target, output=tmp_path / "x.ko", choices=Choices(accepted=(accepted,)))
    assert [finding.because for finding in built.findings] == ["never unloaded"]


@pytest.mark.parametrize("new", ["waits", "imports"])
def test_main_functions_of_kernel_threads_are_refused(
    target: Target, kernel: Kernel, tmp_path: Path, new: str
) -> None:
    """Both ways of kpatch to call what is exported."""
    old = tmp_path / "old.ko"
    old.write_bytes(made(kernel, THREAD.replace("FUNC(waits", f"FUNC({new}")))
    with pytest.raises(Refusal) as refused:
        build([old], target, output=tmp_path / "x.ko")
    assert (refused.value.code, refused.value.where) == (
        "thread-function-replaced",
        f"{old}: version_proc_show()",
    )
    asked = Choices(replace_threads=frozenset({"version_proc_show"}))
    built = build([old], target, output=tmp_path / "x.ko", choices=asked)
    assert [one.old_name for one in built.patch.objects[0].functions] == ["version_proc_show"]
    with pytest.raises(Refusal) as refused:
        build(
            [old],
            target,
            output=tmp_path / "y.ko",
            choices=Choices(replace_threads=frozenset({new, "kswapd"})),
        )
    assert refused.value.code == "thread-function-replaced"
    with pytest.raises(Refusal) as refused:
        build(
            [old],
            target,
            output=tmp_path / "y.ko",
            choices=Choices(replace_threads=asked.replace_threads | {"kswapd"}),
        )
    assert (refused.value.code, refused.value.where) == (
        "thread-not-replaced",
        "--replace-thread kswapd",
    )
