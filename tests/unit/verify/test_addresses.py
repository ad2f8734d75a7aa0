# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of several symbols of one name is meant, and what is refused when nothing tells."""

from __future__ import annotations

import pytest

from suture.errors import Refusal
from suture.objects.locals import base
from suture.verify.sympos import sympos
from tests.examples import shows
from tests.unit.verify.kernel import addresses, shipped, shipped_module, symbols, unit, vmlinux

TWIN = r"""
extern int outside(const char *, int);
static int state = 1;
static __attribute__((noinline)) int same(int x) { return outside("same", x); }
static __attribute__((noinline)) int uses(int x) { return outside("uses", x + state++); }
int __FILE(int x) { return same(x) * NUMBER + uses(x); }
"""
ONE = TWIN.replace("__FILE", "one").replace("NUMBER", "3")
TWO = TWIN.replace("__FILE", "two").replace("NUMBER", "5")


def of_file(name: str, file: str) -> int:
    """The address of a symbol of one of the two files, by where ld put the file's functions."""
    listed = symbols(vmlinux(ONE, TWO))
    places = [symbol.address for symbol in listed.named(name)]
    assert len(places) == 2
    return places[0 if file == "one" else 1]


@pytest.mark.parametrize(("source", "file"), [(ONE, "one"), (TWO, "two")])
@pytest.mark.parametrize("name", ["same", "uses"])
def test_equal_functions_are_told_apart_by_their_users(source: str, file: str, name: str) -> None:
    found = addresses(source, shipped(ONE, TWO))
    assert found.prove(unit(found.view, name)).address == of_file(name, file)


@pytest.mark.parametrize(("source", "file"), [(ONE, "one"), (TWO, "two")])
def test_the_right_one_of_two_variables_is_found(source: str, file: str) -> None:
    found = addresses(source, shipped(ONE, TWO))
    found.prove(unit(found.view, file))
    assert found.find(unit(found.view, "uses")) == of_file("uses", file)
    found.prove(unit(found.view, "uses"))
    assert found.find(unit(found.view, "state")) == of_file("state", file)


def test_sympos_counts_in_the_kernels_order() -> None:
    kernel = shipped(ONE, TWO)
    assert sympos(kernel, "state", of_file("state", "one")) == 1
    assert sympos(kernel, "state", of_file("state", "two")) == 2
    assert sympos(kernel, "one", kernel.addresses("one")[0]) == 0


def test_equal_functions_that_nothing_tells_apart_are_refused() -> None:
    text = """extern int outside(const char *, int);
static __attribute__((noinline, used)) int same(int x) { return outside("same", x); }
"""
    found = addresses(text, shipped(text, text))
    with pytest.raises(Refusal) as refused:
        found.prove(unit(found.view, "same"))
    shows(refused.value, "symbol-ambiguous")


def test_a_variable_that_nothing_tells_apart_is_refused() -> None:
    text = "static int state __attribute__((used)) = 1;\nint {name}(int x) {{ return x + {number}; }}\n"
    one, two = text.format(name="one", number=1), text.format(name="two", number=2)
    found = addresses(one, shipped(one, two))
    refusal = found.find(unit(found.view, "state"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "symbol-ambiguous"


def test_a_static_local_is_found_whatever_the_compiler_calls_it() -> None:
    text = """extern int outside(const char *, int);
int user(int x) { static int count; return outside("", count += x); }
"""
    kernel = shipped("int other(int x) { static int count; return count += x; }\n", text)
    found = addresses(text, kernel)
    variable = next(u for u in found.view.units if base(u.name) == "count")
    address = found.find(variable)
    assert isinstance(address, int)
    assert found.name_at(variable, address) in kernel.names(address)
    listed = symbols(vmlinux("int other(int x) { static int count; return count += x; }\n", text))
    assert address == [s.address for s in listed.symbols if base(s.name) == "count"][1]


def test_a_function_that_the_kernel_does_not_hold_is_refused() -> None:
    found = addresses(ONE, shipped(TWO))
    with pytest.raises(Refusal) as refused:
        found.prove(unit(found.view, "one"))
    shows(refused.value, "function-not-in-kernel")


def test_a_changed_function_is_refused_with_the_first_difference() -> None:
    found = addresses(ONE, shipped(ONE.replace("* 3", "* 7")))
    with pytest.raises(Refusal) as refused:
        found.prove(unit(found.view, "one"))
    shows(refused.value, "pre-image-mismatch")
    assert len(refused.value.evidence) == 2


def test_a_weak_function_that_another_overrides_is_refused_as_that() -> None:
    weak = """extern int outside(const char *, int);
__attribute__((weak)) int hook(int x) { return outside("weak", x); }
"""
    strong = "int hook(int x) { return x * 1234567; }\n"
    found = addresses(weak, shipped(weak, strong))
    with pytest.raises(Refusal) as refused:
        found.prove(unit(found.view, "hook"))
    assert refused.value.code == "function-not-in-kernel"
    assert "weak" in refused.value.found
    # It can be called all the same: what the kernel has under that name is meant.
    assert (
        found.find(unit(found.view, "hook"))
        == symbols(vmlinux(weak, strong)).named("hook")[0].address
    )


def test_a_variable_that_the_kernel_does_not_list_is_refused() -> None:
    text = "static int gone __attribute__((used)) = 1;\n"
    found = addresses(text, shipped(ONE))
    refusal = found.find(unit(found.view, "gone"))
    assert isinstance(refusal, Refusal)
    assert refusal.code == "symbol-not-found"


def test_modules_are_searched_in_the_same_way() -> None:
    module = shipped_module(ONE, TWO)
    found = addresses(TWO, module)
    address = found.prove(unit(found.view, "same")).address
    assert sympos(module, "same", address) == 2
