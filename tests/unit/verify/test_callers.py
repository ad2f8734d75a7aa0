# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions without a fentry call: who is replaced in their place, and when nobody can be."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

import pytest

from suture.diff.changes import Changes, compare
from suture.diff.correlate import Correlation
from suture.elf import writer
from suture.errors import Refusal
from suture.verify.addresses import Addresses
from suture.verify.callers import Bounds, plan_callers
from suture.verify.callsites import scan
from suture.verify.plan import (
    Answers,
    ComparedFile,
    PatchPlan,
    PlannedFile,
    SourceRequest,
    Surroundings,
)
from suture.verify.shipped import ShippedImage, ShippedModule
from tests.examples import shows
from tests.unit.toolchain import Anything, compile_c, select_with, side, tool
from tests.unit.verify.kernel import shipped, shipped_module, vmlinux

Kernel = ShippedImage | ShippedModule

HEAD = r"""
extern int outside(const char *, int);
#define hidden __attribute__((noinline, no_instrument_function))
"""
ONE = (
    HEAD
    + r"""
static hidden int deep(int x) { return outside("deep", x) + 1; }
int direct(int x) { return deep(x) + 2; }
int unrelated(int x) { return outside("unrelated", x) + 3; }
"""
)
TWO = (
    HEAD
    + r"""
static hidden int deep(int x) { return outside("deep", x) + 1; }
static hidden int middle(int x) { return deep(x) * 3; }
int top(int x) { return middle(x) + 2; }
int other(int x) { return deep(x) + 5; }
"""
)
FIX = ('"deep"', '"fixed"')


def image(*sources: str) -> ShippedImage:
    return shipped(*sources)


Candidates = Callable[[str, Collection[str], Collection[str]], list[ComparedFile]]
T = TypeVar("T")


def unchanged(source: str, name: str, objname: str, kernel: Kernel) -> ComparedFile:
    same = side(compile_c(source))
    changes = Changes(same, same, Correlation({unit: unit for unit in same.view.units}))
    return ComparedFile.of(name, objname, changes, Addresses(same.view, kernel))


def compared(before: str, after: str, kernel: Kernel, name: str = "one.c") -> ComparedFile:
    found = compare(side(compile_c(before)), side(compile_c(after)))
    return ComparedFile.of(name, kernel.objname, found, Addresses(found.original.view, kernel))


def patched(source: str, old: str, new: str, kernel: Kernel) -> ComparedFile:
    assert old in source
    return compared(source, source.replace(old, new), kernel)


def surroundings(kernel: Kernel) -> Surroundings:
    return Surroundings(lambda _: kernel, lambda _: None, lambda _, at: scan(kernel, at))


def answering(ask: Callable[[Answers], T | SourceRequest], candidates: Candidates) -> T:
    """Ask until nothing more has to be compiled."""
    answers: dict[SourceRequest, list[ComparedFile]] = {}
    while isinstance(found := ask(answers), SourceRequest):
        assert found not in answers
        answers[found] = candidates(found.objname, found.words, found.without)
    return found


def plan(
    file: ComparedFile,
    kernel: Kernel,
    bounds: Bounds | None = None,
    candidates: Candidates = lambda *_: [],
) -> PatchPlan:
    around = surroundings(kernel)
    return answering(
        lambda answers: plan_callers([file], around, answers, bounds or Bounds()), candidates
    )


def run(
    source: str,
    *others: str,
    fix: tuple[str, str] = FIX,
    bounds: Bounds | None = None,
    module: bool = False,
) -> tuple[tuple[PlannedFile, ...], dict[str, set[str]], dict[str, set[str]]]:
    """:return: the files; what is replaced, and what is carried, by file."""
    kernel = shipped_module(source, *others) if module else image(source, *others)

    def candidates(
        objname: str, words: Collection[str], without: Collection[str]
    ) -> list[ComparedFile]:
        listed = [(f"other{number}.c", text) for number, text in enumerate(others)]
        wanted = [
            (n, t) for n, t in listed if n not in without and any(word in t for word in words)
        ]
        return [unchanged(text, name, objname, kernel) for name, text in wanted]

    files = plan(patched(source, *fix, kernel), kernel, bounds, candidates).files
    return (
        files,
        {one.file.source: {after.name for _, after in one.plan.replaced} for one in files},
        {one.file.source: {after.name for _, after in one.plan.carried} for one in files},
    )


def refusal(source: str, *others: str, **more: object) -> Refusal:
    with pytest.raises(Refusal) as refused:
        run(source, *others, **more)  # type: ignore[arg-type]
    return refused.value


def test_the_function_has_no_fentry_call() -> None:
    assert "__fentry__" not in tool("objdump", "-dr", "--disassemble=deep", data=compile_c(ONE))
    assert "__fentry__" in tool("objdump", "-dr", "--disassemble=direct", data=compile_c(ONE))


def test_the_caller_is_replaced_and_calls_the_new_code() -> None:
    files, replaced, carried = run(ONE)
    assert (replaced, carried) == ({"one.c": {"direct"}}, {"one.c": {"deep"}})
    cut = select_with(files[0].plan, Anything())
    data = writer.write(cut.obj)
    assert [one.original.name for one in cut.replaced] == ["direct"]
    assert "deep - 4" in tool("readelf", "-rW", data=data)
    assert "kernel_deep" not in tool("readelf", "-sW", data=data)
    assert b"fixed\0" in data


def test_callers_two_levels_up_are_found_and_each_as_near_as_can_be() -> None:
    _, replaced, carried = run(TWO)
    assert (replaced, carried) == ({"one.c": {"top", "other"}}, {"one.c": {"deep", "middle"}})


def test_the_bounds_hold() -> None:
    assert refusal(ONE, bounds=Bounds(depth=0)).code == "function-not-traceable"
    shows(refusal(TWO, bounds=Bounds(depth=1)), "callers-too-many")
    assert run(TWO, bounds=Bounds(depth=2))[1] == {"one.c": {"top", "other"}}
    assert refusal(TWO, bounds=Bounds(functions=2)).code == "callers-too-many"


@pytest.mark.parametrize(
    "use",
    [
        "int (*pointer)(int) = deep;",
        "int (*const table[])(int) = { 0, deep };",
        "extern void take(int (*)(int));\nint taker(int x) { take(deep); return x; }",
        'int reader(void) { int (*p)(int); asm("lea deep(%%rip), %0" : "=r"(p)); return p(1); }',
    ],
)
def test_an_address_that_is_taken_is_refused(use: str) -> None:
    stub = "void take(int (*f)(int)) { f(1); }\n" if "take(" in use else ""
    found = refusal(ONE + use + "\n", *([HEAD + stub] if stub else []))
    assert found.code == "caller-uncertain"
    assert "takes its address" in found.found


def test_an_address_that_the_patch_takes_is_refused() -> None:
    fix = ('return outside("unrelated", x) + 3', "int (*volatile f)(int) = deep; return f(x)")
    both = ONE.replace('"deep"', "FIRST")
    source = '#define FIRST "deep"\n' + both
    kernel = image(source)
    after = source.replace(*fix).replace('FIRST "deep"', 'FIRST "fixed"')
    with pytest.raises(Refusal) as refused:
        plan(compared(source, after, kernel), kernel)
    assert "in the patched code" in refused.value.found


def test_a_jump_at_the_end_is_a_call() -> None:
    tail = ONE.replace("return deep(x) + 2;", "return deep(x + 2);")
    assert "jmp" in tool("objdump", "-d", "--disassemble=direct", data=compile_c(tail))
    assert run(tail)[1] == {"one.c": {"direct"}}


def test_a_call_in_the_cold_part_is_its_functions() -> None:
    cold = ONE.replace(
        "int direct(int x) { return deep(x) + 2; }",
        "extern __attribute__((cold)) void complain(const char *);\nint direct(int x)\n"
        '{ if (__builtin_expect(x < 0, 0)) { complain("negative"); return deep(x); } return outside("ok", x); }',
    )
    assert "direct.cold" in tool("nm", data=compile_c(cold))
    assert run(cold)[1] == {"one.c": {"direct"}}


def test_recursion_ends() -> None:
    alone = ONE.replace(
        'return outside("deep", x) + 1', 'return x > 9 ? deep(x - 9) * 5 + 3 : outside("deep", x)'
    )
    assert run(alone)[1] == {"one.c": {"direct"}}
    mutual = (
        HEAD
        + r"""
static int pong(int x);
static hidden int ping(int x) { return x > 9 ? pong(x - 9) * 5 : outside("deep", x); }
static hidden int pong(int x) { return ping(x - 1) * 7; }
int direct(int x) { return pong(x) + 2; }
"""
    )
    _, replaced, carried = run(mutual)
    assert (replaced, carried) == ({"one.c": {"direct"}}, {"one.c": {"ping", "pong"}})


GLOBAL = (
    HEAD
    + r"""
hidden int deep(int x) { return outside("deep", x) + 1; }
int direct(int x) { return deep(x) + 2; }
"""
)
ELSEWHERE = (
    HEAD
    + "extern int deep(int);\nint far(int x) { return deep(x) * 9; }\nint near(int x) { return x + 1; }\n"
)
AND_HERE = HEAD + "extern int deep(int);\nint here(int x) { return deep(x + 1) * 4; }\n"


@pytest.mark.parametrize("module", [False, True], ids=["vmlinux", "module"])
def test_callers_in_other_files_are_replaced(module: bool) -> None:
    files, replaced, carried = run(GLOBAL, ELSEWHERE, AND_HERE, module=module)
    assert replaced == {"one.c": {"direct"}, "other0.c": {"far"}, "other1.c": {"here"}}
    assert carried == {"one.c": {"deep"}, "other0.c": set(), "other1.c": set()}
    cut = writer.write(select_with(files[0].plan, Anything()).obj)
    (bind,) = [
        line.split()[4]
        for line in tool("readelf", "-sW", data=cut).splitlines()
        if line.endswith(" deep")
    ]
    assert bind == "GLOBAL"


def test_a_caller_without_source_is_refused() -> None:
    kernel = image(GLOBAL, ELSEWHERE)
    with pytest.raises(Refusal) as refused:
        plan(patched(GLOBAL, *FIX, kernel), kernel)
    shows(refused.value, "caller-uncertain")
    assert "far" in refused.value.found


def test_a_pointer_in_another_file_is_found_in_the_shipped_data() -> None:
    found = refusal(GLOBAL, HEAD + "extern int deep(int);\nint (*hook)(int) = deep;\n")
    assert found.code == "caller-uncertain"
    assert "hook" in found.found


def test_an_address_in_another_files_code_is_found() -> None:
    taker = (
        HEAD
        + "extern int deep(int);\nextern void take(int (*)(int));\nvoid t(void) { take(deep); }\n"
    )
    found = refusal(GLOBAL, taker, HEAD + "void take(int (*f)(int)) { f(1); }\n")
    assert found.code == "caller-uncertain"


def test_a_global_function_that_was_static_leads_to_the_new_code() -> None:
    kernel = image(ONE)
    text = ONE.replace("static hidden int deep", "hidden int deep").replace(*FIX)
    file = compared(ONE, text, kernel)
    assert file.changes.published
    (planned,) = plan(file, kernel).files
    assert not planned.plan.published
    assert [unit.name for unit in planned.plan.provided] == ["deep"]
    assert file.changes.provided == ()


def test_callers_that_the_patch_does_not_change_are_told_with_their_reason() -> None:
    kernel = image(TWO)
    callers = plan(patched(TWO, *FIX, kernel), kernel).callers
    assert {(one.function, one.calls) for one in callers} == {
        ("middle", "deep"),
        ("other", "deep"),
        ("top", "middle"),
    }


def test_every_call_that_objdump_shows_is_found() -> None:
    text = tool("objdump", "-d", data=vmlinux(GLOBAL, ELSEWHERE, AND_HERE))
    kernel = image(GLOBAL, ELSEWHERE, AND_HERE)
    sites = scan(kernel, kernel.addresses("deep")[0])
    assert {name for place in sites.calls.values() for name in kernel.names(place)} == {
        "direct",
        "far",
        "here",
    }
    assert len(sites.calls) == len([line for line in text.splitlines() if line.endswith(" <deep>")])
    assert not sites.address_uses


LISTED = """asm(".pushsection .rodata\\n.balign 4\\n.globl {begin}, {end}\\n{begin}: .long deep - .\\n"
    "{end}: .long 0\\n.popsection");
"""


@pytest.mark.parametrize(
    ("begin", "end", "uses"),
    [
        ("kallsyms_offsets", "kallsyms_seqs_of_names", 0),
        ("__start_mcount_loc", "__stop_mcount_loc", 0),
        ("kallsyms_seqs_of_names", "kallsyms_offsets", 1),
        ("offsets", "others", 1),
    ],
)
def test_a_list_of_all_functions_is_no_use_of_one(begin: str, end: str, uses: int) -> None:
    kernel = image(ONE + LISTED.format(begin=begin, end=end))
    found = scan(kernel, kernel.addresses("deep")[0])
    assert len(found.calls) == 1
    assert len(found.address_uses) == uses
