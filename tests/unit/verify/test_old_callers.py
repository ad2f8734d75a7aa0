# SPDX-License-Identifier: GPL-2.0-or-later
"""Functions that change with their prototype: who goes on calling them in the old way."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import partial

import pytest

from suture.elf.prototypes import Prototype, prototypes
from suture.errors import Finding, Refusal
from suture.verify.kept_callers import other_clones
from suture.verify.old_callers import (
    callers_of,
    changed_prototypes,
    functions_to_declare,
    old_callers,
    unknown_callers,
)
from suture.verify.plan import ComparedFile
from suture.verify.shipped import ShippedImage, ShippedModule
from tests.examples import shows
from tests.unit.toolchain import compile_c
from tests.unit.verify.kernel import shipped, shipped_module
from tests.unit.verify.test_callers import answering, compared, surroundings, unchanged

HEAD = "extern int outside(const char *, int);\n"
ONE = (
    HEAD
    + """
int scaled(int x) { return outside("scaled", x) + 1; }
int beside(int x) { return scaled(x) * 2; }
"""
)
FIX = [
    (
        'int scaled(int x) { return outside("scaled", x)',
        'int scaled(int x, int y) { return outside("scaled", x + y)',
    ),
    ("scaled(x) * 2", "scaled(x, 3) * 2"),
]
TWO = HEAD + "extern int scaled(int);\nint far(int x) { return scaled(x) * 9; }\n"
TWO_FIX = [
    ("extern int scaled(int)", "extern int scaled(int, int)"),
    ("scaled(x) * 9", "scaled(x, 4) * 9"),
]


def changed(source: str, fixes: list[tuple[str, str]]) -> str:
    for old, new in fixes:
        assert old in source
        source = source.replace(old, new)
    return source


def check(
    sources: Mapping[str, tuple[str, str]],
    *,
    exported: bool = False,
    kfuncs: frozenset[str] = frozenset(),
    module: bool = False,
    kept: str = "",
) -> list[tuple[str, bool]]:
    """Refuse what is found; see `search`."""
    asked, found = search(sources, exported=exported, kfuncs=kfuncs, module=module, kept=kept)
    for finding in found:
        raise finding.refusal()
    return asked


def search(
    sources: Mapping[str, tuple[str, str]],
    *,
    exported: bool = False,
    kfuncs: frozenset[str] = frozenset(),
    module: bool = False,
    kept: str = "",
) -> tuple[list[tuple[str, bool]], list[Finding]]:
    """:param sources: file -> before and after; those that stay are known to the search alone.
    :param kept: C that is part of the shipped object, and of which nobody has the source.
    :return: what the compiler was asked for, and what was found.
    """
    texts = [before for before, _ in sources.values()] + ([kept] if kept else [])
    kernel: ShippedImage | ShippedModule = shipped_module(*texts) if module else shipped(*texts)
    asked: list[tuple[str, bool]] = []

    def declared(source: str, names: Collection[str], patched: bool) -> Mapping[str, Prototype]:
        asked.append((source, patched))
        return prototypes(compile_c(sources[source][patched], "-g"), names)

    def candidates(
        objname: str, words: Collection[str], without: Collection[str]
    ) -> list[ComparedFile]:
        names = [
            name
            for name, (before, after) in sources.items()
            if before == after and name not in without
        ]
        return [unchanged(sources[name][0], name, objname, kernel) for name in names]

    files = [
        compared(before, after, kernel, name)
        for name, (before, after) in sources.items()
        if before != after
    ]
    around = surroundings(kernel)
    found: list[Finding] = []
    for file in files:
        found += other_clones(file)
        if not (names := functions_to_declare(file)):
            continue
        old, new = declared(file.source, names, False), declared(file.source, names, True)
        for one in changed_prototypes(file, old, new):
            found += unknown_callers(
                one, lambda name: exported and name == "scaled", kfuncs.__contains__
            )
            callers = answering(partial(callers_of, one, files, around), candidates)
            old_way = old_callers(one, callers, lambda where, names: declared(where, names, True))
            found += filter(None, [old_way])
    return asked, found


def refusal(sources: Mapping[str, tuple[str, str]], **more: object) -> Refusal:
    with pytest.raises(Refusal) as refused:
        check(sources, **more)  # type: ignore[arg-type]
    return refused.value


ALONE = {"one.c": (ONE, changed(ONE, FIX))}
BOTH = {**ALONE, "two.c": (TWO, changed(TWO, TWO_FIX))}
FORGOTTEN = {**ALONE, "two.c": (TWO, TWO)}


def test_an_exported_function_is_refused_whoever_calls_it() -> None:
    error = refusal(BOTH, exported=True)
    assert (error.code, error.where) == ("exported-prototype-changed", "one.c: scaled()")
    assert error.found == "was int (int) and becomes int (int, int)"


def test_a_function_of_bpf_programs_is_refused_whoever_calls_it() -> None:
    error = refusal(BOTH, kfuncs=frozenset({"scaled"}))
    assert (error.code, error.where) == ("kfunc-prototype-changed", "one.c: scaled()")
    shows(error, "kfunc-prototype-changed")


@pytest.mark.parametrize("module", [False, True], ids=["vmlinux", "module"])
def test_another_goes_where_all_callers_know_the_new_one(module: bool) -> None:
    assert ("two.c", True) in check(BOTH, module=module)
    check(ALONE, module=module)


@pytest.mark.parametrize("module", [False, True], ids=["vmlinux", "module"])
def test_a_declaration_that_was_forgotten_is_found(module: bool) -> None:
    error = refusal(FORGOTTEN, module=module)
    assert error.where == "one.c: scaled()"
    assert error.evidence == ("far() in two.c calls it as int (int)",)


def test_a_declaration_that_was_forgotten_in_a_changed_file_is_found() -> None:
    error = refusal({**ALONE, "two.c": (TWO, changed(TWO, [("* 9", "* 8")]))})
    assert (error.code, error.evidence) == (
        "prototype-changed",
        ("far() in two.c calls it as int (int)",),
    )


def test_a_caller_of_which_there_is_no_source_is_found() -> None:
    error = refusal(ALONE, kept=TWO)
    assert error.code == "prototype-changed"
    assert "is called by far in vmlinux" in error.evidence[0]


def test_an_address_that_is_taken_elsewhere_is_refused() -> None:
    error = refusal(ALONE, kept="extern int scaled(int);\nint (*hook)(int) = scaled;\n")
    assert error.code == "prototype-changed"
    assert "hook" in error.evidence[0]


SERVING: dict[str, Callable[[str], str]] = {
    "the same prototype": lambda text: text.replace('"scaled"', '"other"'),
    "a typedef": lambda text: (
        "typedef int s32;\n" + text.replace("scaled(int x)", "scaled(s32 x)").replace("+ 1", "+ 2")
    ),
}


@pytest.mark.parametrize("after", SERVING.values(), ids=SERVING)
def test_a_prototype_that_means_the_same_goes(after: Callable[[str], str]) -> None:
    assert check({"one.c": (ONE, after(ONE))}, exported=True) == [("one.c", False), ("one.c", True)]


def test_a_static_function_concerns_its_own_file_alone() -> None:
    before = ONE.replace("int scaled", "static __attribute__((noinline)) int scaled")
    assert check({"one.c": (before, before.replace('"scaled"', '"other"'))}, exported=True) == []


ONCE = """
#define __init __attribute__((section(".init.text"), cold, __noinline__))
#define __exit __attribute__((section(".exit.text"), cold, __noinline__))
"""
STATIC = "static __attribute__((noinline)) int scaled"
DESTROY = (
    HEAD
    + ONCE
    + STATIC
    + """(const char *dev, int x) { return outside(dev, x); }
int run(const char *d) { return scaled(d, 1) + 1; }
"""
)
EXIT = "__exit void stop(const char *d) { scaled(d, 2); outside(d, 4); }\n"
INIT = EXIT.replace("__exit", "__init")
TURNED = [
    ("(const char *dev, int x) {", "(int x, const char *dev) {"),
    ("scaled(d, 1)", "scaled(1, d)"),
]
KEPT = [*TURNED, ("scaled(d, 2)", "scaled(2, d)")]


@pytest.mark.parametrize("caller", [EXIT, INIT], ids=["exit", "init"])
def test_code_of_a_module_that_stays_calls_it_in_the_old_way(caller: str) -> None:
    source = DESTROY + caller
    error = refusal({"one.c": (source, changed(source, KEPT))}, module=True)
    assert (error.code, error.where) == ("prototype-changed", "one.c: scaled()")
    assert error.evidence[0].startswith("stop() in one.c stays as it is")


def test_a_caller_that_the_patch_removes_is_still_there() -> None:
    source = DESTROY + EXIT
    after = changed(source, [*TURNED, (EXIT, "")])
    assert refusal({"one.c": (source, after)}, module=True).code == "prototype-changed"


def test_a_global_function_is_called_by_exit_code_of_another_file() -> None:
    one = DESTROY.replace("static ", "")
    two = HEAD + ONCE + "extern int scaled(const char *, int);\n" + EXIT
    two_after = changed(two, [("(const char *, int);\n__", "(int, const char *);\n__"), KEPT[2]])
    sources = {"one.c": (one, changed(one, TURNED)), "two.c": (two, two_after)}
    error = refusal(sources, module=True)
    assert error.code == "prototype-changed"
    assert "stop" in error.evidence[0]


COMPATIBLE = {
    "the core kernel's ran": (KEPT, False),
    "the prototype stays": ([("outside(dev, x)", "outside(dev, x + 1)"), ("d, 4", "d, 5")], True),
}


@pytest.mark.parametrize("case", COMPATIBLE)
def test_code_that_stays_and_does_no_harm(case: str) -> None:
    fixes, module = COMPATIBLE[case]
    source = DESTROY + EXIT
    check({"one.c": (source, changed(source, fixes))}, module=module)


UNUSED = DESTROY.replace("outside(dev, x)", 'outside("x", x)') + EXIT


def test_arguments_that_the_compiler_had_removed_are_missing() -> None:
    after = changed(UNUSED, [('outside("x", x)', "outside(dev, x)"), ("d, 4", "d, 5")])
    error = refusal({"one.c": (UNUSED, after)}, module=True)
    assert error.code == "prototype-changed"
    # GCC 12 says .constprop, GCC 14 .isra.
    assert re.fullmatch(
        r"was compiled as scaled\.(constprop|isra)\.0 and becomes scaled, with other arguments",
        error.found,
    )


def test_a_clone_with_the_same_arguments_goes() -> None:
    after = changed(UNUSED, [('outside("x", x)', 'outside("y", x)'), ("d, 4", "d, 5")])
    check({"one.c": (UNUSED, after)}, module=True)


def test_a_function_of_another_name_and_prototype_is_refused() -> None:
    source = DESTROY + "__init void go(void) { outside((const char *)scaled, 1); }\n"
    source = source.replace("{ return scaled(d, 1) + 1; }", "{ return 1; }")
    after = changed(source, TURNED[:1]).replace("scaled", "graded").replace("outside(dev, x)", "3")
    error = refusal({"one.c": (source, after)})
    assert error.where == "one.c: graded()"
    shows(error, "function-renamed")
