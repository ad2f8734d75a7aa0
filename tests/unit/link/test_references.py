# SPDX-License-Identifier: GPL-2.0-or-later
"""What an author's undefined symbols stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from suture.elf import reader
from suture.errors import Refusal
from suture.kernel.symvers import Symvers, parse
from suture.link import klp
from suture.link.references import References, with_pending_names
from suture.model import VMLINUX
from suture.verify.shipped import Shipped, ShippedModule
from suture.verify.sympos import nearest
from tests.unit.toolchain import MACHINE, compile_c

SYMVERS = b"""\
0x1\tprintk\tvmlinux\tEXPORT_SYMBOL\t
0x2\tnamed\tvmlinux\tEXPORT_SYMBOL\tNS
0x3\tfrom_drm\tdrm\tEXPORT_SYMBOL\t
0x4\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t
"""


def shipped(
    objname: str, local: Mapping[str, Sequence[int]], visible: Mapping[str, Sequence[int]]
) -> Shipped:
    by_name = {**local, **visible}
    by_address: dict[int, list[str]] = {}
    for name, places in by_name.items():
        for place in places:
            by_address.setdefault(place, []).append(name)
    return ShippedModule(
        objname, (), (range(9000, 9999),), by_name, visible, by_address, machine=MACHINE
    )


OBJECTS = {
    VMLINUX: shipped(
        VMLINUX,
        {"static_one": [10], "twice": [20, 30], "from_drm": [70], "early": [9100]},
        {"printk": [40], "named": [50], "global": [60], "some_function": [61]},
    ),
    "drm": shipped("drm", {"drm_static": [10]}, {"from_drm": [20]}),
    "xfs": shipped("xfs", {"xfs_static": [10], "shared": [20]}, {}),
    "ext4": shipped("ext4", {"shared": [20]}, {}),
}


def references(*patched: str) -> References:
    exports: Symvers = parse(SYMVERS, "Module.symvers")
    return References(
        exports,
        lambda name: OBJECTS[name],
        (VMLINUX, *patched),
        lambda name: f"fix.c:{len(name)}",
        OBJECTS.__contains__,
    )


def refused(name: str, *patched: str) -> Refusal:
    found = references(*patched).find(name)
    assert isinstance(found, Refusal)
    return found


@pytest.mark.parametrize(
    ("name", "patched", "expected"),
    [
        ("printk", (), None),
        ("named", (), "vmlinux:.klp.sym.vmlinux.named,0"),
        ("global", (), "vmlinux:.klp.sym.vmlinux.global,0"),
        ("static_one", (), "vmlinux:.klp.sym.vmlinux.static_one,0"),
        ("from_drm", (), None),
        ("from_drm", ("drm",), "drm:.klp.sym.drm.from_drm,0"),
        ("xfs_static", ("xfs",), "xfs:.klp.sym.xfs.xfs_static,0"),
        ("twice,2", (), "vmlinux:.klp.sym.vmlinux.twice,2"),
        (".klp.sym.rela.vmlinux.vmlinux.twice,1", (), "vmlinux:.klp.sym.vmlinux.twice,1"),
        (".klp.sym.rela.xfs.drm.drm_static,0", ("xfs",), "xfs:.klp.sym.drm.drm_static,0"),
        (".klp.sym.xfs.xfs_static,0", ("xfs",), "xfs:.klp.sym.xfs.xfs_static,0"),
    ],
)
def test_name_is_found_where_c_would_mean_it(
    name: str, patched: tuple[str, ...], expected: str | None
) -> None:
    place = references(*patched).find(name)
    assert not isinstance(place, Refusal)
    assert (None if place is None else place.pending_name) == expected


@pytest.mark.parametrize(
    ("name", "patched", "code"),
    [
        ("twice", (), "symbol-ambiguous"),
        ("shared", ("xfs", "ext4"), "symbol-ambiguous"),
        ("gone", ("xfs",), "symbol-not-found"),
        ("xfs_static", (), "symbol-not-found"),
        ("twice,3", (), "symbol-not-found"),
        ("early", (), "init-referenced"),
        (".klp.sym.rela.xfs.xfs.xfs_static,0", (), "object-not-patched"),
        (".klp.sym.rela.vmlinux.vmlinux.gone,0", (), "symbol-not-found"),
        (".klp.sym.rela.vmlinux.nomodule.gone,0", (), "function-not-in-kernel"),
        (".klp.sym.rela.vmlinux.vmlinux.twice,0", (), "symbol-ambiguous"),
        (".klp.sym.rela.vmlinux.vmlinux.twice,9", (), "symbol-not-found"),
    ],
)
def test_what_is_not_there_or_not_clear_is_refused(
    name: str, patched: tuple[str, ...], code: str
) -> None:
    refusal = refused(name, *patched)
    assert refusal.code == code
    assert refusal.where.startswith("fix.c:")


def test_nearest_names_and_candidates_are_shown() -> None:
    assert nearest("some_functoin", OBJECTS[VMLINUX]) == ["some_function"]
    assert refused("twice").evidence == (
        "vmlinux: twice,1 (after static_one)",
        "vmlinux: twice,2 (after twice)",
    )


def test_weak_symbol_that_is_nowhere_stays_as_the_linker_has_it() -> None:
    source = "extern int gone(void) __attribute__((weak)); int f(void) { return gone(); }"
    made = with_pending_names(reader.read(compile_c(source, sections=False), "a"), references())
    assert "gone" in {symbol.name for symbol in made.symbols if symbol.is_undefined}


def test_late_symbol_in_a_part_that_is_gone_by_then_is_refused() -> None:
    source = 'extern int xfs_static(void); __attribute__((section(".init.text"))) int f(void) { return xfs_static(); }'
    obj = reader.read(compile_c(source, sections=False), "a")
    with pytest.raises(Refusal, match="module-reference-unsafe"):
        with_pending_names(obj, references("xfs"))


def test_finished_module_has_livepatch_relocations() -> None:
    source = (
        "extern int xfs_static(void), global(void); int f(void) { return xfs_static() + global(); }"
    )
    finished = klp.finish(
        with_pending_names(reader.read(compile_c(source, sections=False), "a"), references("xfs"))
    )
    assert [group.name for group in finished.livepatch] == [
        ".klp.rela.vmlinux..text",
        ".klp.rela.xfs..text",
    ]
