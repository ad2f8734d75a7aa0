# SPDX-License-Identifier: GPL-2.0-or-later
"""How a live patch reaches what stays in the kernel: linked, by name and position, or not at
all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from suture.diff.output import Linked, Outside
from suture.errors import Refusal
from suture.kernel.symvers import Export, Symvers
from suture.link.resolve.kernel import KernelResolver, Published
from suture.model import VMLINUX, ExternalSymbol
from suture.verify.addresses import Addresses
from suture.verify.shipped import Shipped, ShippedModule, lay_out
from tests.examples import shows
from tests.unit.toolchain import compile_c, link, read
from tests.unit.verify.kernel import original, shipped, unit

CORE = r"""
extern int outside(const char *, int);
static int state = 1;
int exported(int x) { return outside("exported", x); }
int plain(int x) { return outside("plain", x + state++); }
int spaced(int x) { return outside("spaced", x); }
static __attribute__((noinline, used)) int hidden(int x) { return outside("hidden", x); }
"""
OTHER = "static int state = 2;\nint other(int x) { return x + state++; }\n"
MODULE = r"""
extern int exported(int), plain(int), from_b(int);
struct module { char room[64]; };
__attribute__((section(".gnu.linkonce.this_module"))) struct module __this_module;
int own(int x) { return exported(x) + from_b(x); }
int own_exported(int x) { return own(x) + 1; }
static __attribute__((used)) int clash(int x) { return x; }
__attribute__((section(".init.text"))) int own_init(void) { return 1; }
"""
MODULE_B = "int from_b(int x) { return x + 2; }\nint clash(int x) { return x + 3; }\n"
EXPORTS = Symvers(
    {
        name: Export(name, 0, module, "EXPORT_SYMBOL_GPL", namespace)
        for name, module, namespace in (
            ("exported", VMLINUX, ""),
            ("spaced", VMLINUX, "SPACE"),
            ("own_exported", "mod_a", ""),
            ("from_b", "mod_b", ""),
            ("clash", "mod_b", ""),
        )
    }
)


def module(name: str) -> ShippedModule:
    text = {"mod_a": MODULE, "mod_b": MODULE_B}[name]
    return lay_out(read(link(compile_c(text, sections=False)), name), name)


NEEDED = {"mod_a": ("mod_b",)}


def resolver(
    source: str,
    own: Shipped,
    provided: Mapping[str, str] | None = None,
    published: Mapping[str, Published] | None = None,
    needed: Mapping[str, Sequence[str]] = NEEDED,
) -> KernelResolver:
    addresses = Addresses(original(source), own)
    return KernelResolver(
        addresses,
        EXPORTS,
        shipped(CORE, OTHER),
        module,
        provided,
        published,
        lambda name: needed.get(name, ()),
    )


def in_core(name: str, provided: Mapping[str, str] | None = None) -> Outside:
    return resolver(CORE, shipped(CORE, OTHER), provided).undefined(name)


def in_module(name: str) -> Outside:
    return resolver(MODULE, module("mod_a")).undefined(name)


def refusal(find: str, *, where: str = "core") -> Refusal:
    with pytest.raises(Refusal) as refused:
        (in_core if where == "core" else in_module)(find)
    return refused.value


def test_what_the_core_kernel_exports_is_linked() -> None:
    assert in_core("exported") == Linked("exported")
    assert in_module("exported") == Linked("exported")


def test_what_the_live_patch_brings_is_linked() -> None:
    assert in_core("brand_new", provided={"brand_new": "vmlinux"}) == Linked(
        "brand_new", is_new=True
    )


def test_what_is_not_exported_or_in_a_namespace_is_looked_up() -> None:
    assert in_core("plain") == ExternalSymbol(VMLINUX, "plain", 0)
    assert in_core("spaced") == ExternalSymbol(VMLINUX, "spaced", 0)


def test_exports_of_modules_are_looked_up_so_that_they_pull_nothing_in() -> None:
    assert in_module("from_b") == ExternalSymbol("mod_b", "from_b", 0)
    assert in_module("own_exported") == ExternalSymbol("mod_a", "own_exported", 0)


def test_a_modules_own_struct_module_is_meant() -> None:
    assert in_module("__this_module") == ExternalSymbol("mod_a", "__this_module", 0)


def test_a_static_namesake_in_the_module_is_not_what_another_module_exports() -> None:
    assert in_module("clash") == ExternalSymbol("mod_b", "clash", 0)


def test_static_symbols_of_other_files_cannot_be_meant() -> None:
    assert refusal("hidden").code == "symbol-not-found"
    assert refusal("state").code == "symbol-not-found"
    shows(refusal("no_such_symbol"), "symbol-not-found")


def test_a_module_that_may_not_be_loaded_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        resolver(MODULE, module("mod_a"), needed={}).undefined("from_b")
    shows(refused.value, "module-dependency-new")
    assert "mod_b" in refused.value.found
    with pytest.raises(Refusal) as refused:
        in_core("from_b")
    assert refused.value.code == "module-dependency-new"


def test_a_static_function_that_the_patch_makes_global_is_found_through_its_own_file() -> None:
    kernel = shipped(CORE, OTHER)
    addresses = Addresses(original(CORE), kernel)
    published = {"hidden": Published(addresses, unit(addresses.view, "hidden"))}
    own = resolver(OTHER, kernel, published=published)
    assert own.undefined("hidden") == ExternalSymbol(VMLINUX, "hidden", 0)


def test_a_static_variable_made_global_keeps_its_position_among_namesakes() -> None:
    kernel = shipped(CORE, OTHER)
    addresses = Addresses(original(OTHER), kernel)
    addresses.prove(unit(addresses.view, "other"))
    published = {"state": Published(addresses, unit(addresses.view, "state"))}
    assert resolver(CORE, kernel, published=published).undefined("state") == ExternalSymbol(
        VMLINUX, "state", 2
    )


def test_what_another_module_makes_global_needs_that_module() -> None:
    addresses = Addresses(original(MODULE_B), module("mod_b"))
    published = {"clash": Published(addresses, unit(addresses.view, "clash"))}
    found = resolver(MODULE, module("mod_a"), published=published).undefined("clash")
    assert found == ExternalSymbol("mod_b", "clash", 0)
    with pytest.raises(Refusal) as refused:
        resolver(MODULE, module("mod_a"), published=published, needed={}).undefined("clash")
    assert refused.value.code == "module-dependency-new"


def test_what_is_freed_after_init_is_refused() -> None:
    assert refusal("own_init", where="module").code == "init-referenced"


def test_a_static_variable_is_counted_among_its_namesakes() -> None:
    for source, function, position in ((CORE, "plain", 1), (OTHER, "other", 2)):
        kernel = shipped(CORE, OTHER)
        addresses = Addresses(original(source), kernel)
        addresses.prove(unit(addresses.view, function))
        found = KernelResolver(addresses, EXPORTS, kernel, module).defined(
            unit(addresses.view, "state")
        )
        assert found == ExternalSymbol(VMLINUX, "state", position)


def test_an_exported_function_of_the_same_file_is_linked_and_a_static_one_looked_up() -> None:
    own = resolver(CORE, shipped(CORE, OTHER))
    view = original(CORE)
    assert own.defined(unit(view, "exported")) == Linked("exported")
    assert own.defined(unit(view, "hidden")) == ExternalSymbol(VMLINUX, "hidden", 0)
