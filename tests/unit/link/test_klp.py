# SPDX-License-Identifier: GPL-2.0-or-later
"""Livepatch symbols and relocations, as readelf sees them in a linked module."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from suture.diff.output import OutputObject
from suture.elf import writer
from suture.elf.object import SHN_LIVEPATCH, ObjectFile
from suture.errors import Refusal
from suture.link import klp
from suture.model import ExternalSymbol
from suture.module.inspect import inspect
from tests.examples import shows
from tests.unit.link.module import Kernel, cut, linked
from tests.unit.toolchain import disassembly, relocation_lines, symbol_lines, tool

ONE = r"""
extern int hidden(const char *, int);
extern int exported(const char *, int);
static int counter = 5;
static __attribute__((noinline)) int helper(int x) { return hidden("helped", x + counter++); }
int one(int x) { return helper(x) + hidden("one", x) + exported("one", counter); }
"""
TWO = r"""
extern int hidden(const char *, int);
extern int in_module(int);
int two(int x) { return hidden("two", x) + in_module(x); }
"""
HIDDEN = ExternalSymbol("vmlinux", "hidden", 0)
COUNTER = ExternalSymbol("vmlinux", "counter", 3)


def first() -> OutputObject:
    return cut(ONE, ONE.replace('("one", x)', '("uno", x)'), Kernel(hidden=HIDDEN, counter=COUNTER))


def both() -> ObjectFile:
    second = cut(
        TWO,
        TWO.replace('"two"', '"due"'),
        Kernel(hidden=HIDDEN, in_module=ExternalSymbol("mod_b", "in_module", 0)),
        "mod_a",
    )
    return klp.finish(linked(first(), second))


def headers(data: bytes) -> dict[str, tuple[int, int, int, int]]:
    """Livepatch relocation sections by readelf: name -> number of the section, flags, link,
    info."""
    lines = tool("readelf", "-SWt", data=data).splitlines()
    found = {}
    for number, line in enumerate(lines):
        match = re.match(r"\s*\[ *(\d+)\] (\.klp\.rela\.\S+)", line)
        if match:
            columns = lines[number + 1].split()
            flags = re.search(r"\[([0-9a-f]{16})\]", lines[number + 2])
            assert flags
            assert columns[0] == "RELA"
            found[match[2]] = (int(match[1]), int(flags[1], 16), int(columns[-3]), int(columns[-2]))
    return found


def test_livepatch_symbols_have_the_kernels_section_index_and_appear_once() -> None:
    data = writer.write(both())
    raw = [
        line.split()
        for line in tool("readelf", "-sW", data=data).splitlines()
        if ".klp.sym." in line
    ]
    assert sorted(line[-1] for line in raw) == [
        ".klp.sym.mod_b.in_module,0",
        ".klp.sym.vmlinux.counter,3",
        ".klp.sym.vmlinux.helper,0",
        ".klp.sym.vmlinux.hidden,0",
    ]
    assert all(
        "[0xff20]" in " ".join(line) for line in raw
    )  # include/uapi/linux/elf.h: SHN_LIVEPATCH
    again = both()
    assert {s.shndx for s in again.symbols if s.name.startswith(".klp.sym.")} == {SHN_LIVEPATCH}
    assert not any(":" in symbol.name for symbol in again.symbols)


def test_livepatch_relocation_sections_have_the_documented_flags_link_and_info() -> None:
    data = writer.write(both())
    found = headers(data)
    assert set(found) == {
        ".klp.rela.vmlinux..text.one",
        ".klp.rela.vmlinux..text.two",
        ".klp.rela.mod_a..text.two",
    }
    names = {
        int(m[1]): m[2]
        for m in re.finditer(r"\[ *(\d+)\] (\S+)", tool("readelf", "-SW", data=data))
    }
    for name, (_, flags, link, info) in found.items():
        # SHF_RELA_LIVEPATCH | SHF_ALLOC | SHF_INFO_LINK
        assert flags == 0x00100000 | 0x2 | 0x40
        assert names[link] == ".symtab"
        assert name.endswith(names[info])


def test_a_modules_symbols_are_resolved_when_the_patched_module_comes() -> None:
    """Also those of another module (kernel/livepatch/core.c: klp_resolve_symbols())."""
    data = writer.write(both())
    in_module = relocation_lines(data, ".klp.rela.mod_a..text.two")
    assert [line.split()[2] for line in in_module] == [".klp.sym.mod_b.in_module,0"]
    assert all(
        ".klp.sym.vmlinux." in line
        for line in relocation_lines(data, ".klp.rela.vmlinux..text.two")
    )


def test_ordinary_relocations_stay_as_ld_made_them() -> None:
    module = linked(first())
    finished = klp.finish(module)
    kept = [line for line in relocation_lines(module, ".text.one") if ".klp.sym." not in line]
    assert relocation_lines(finished, ".text.one") == kept
    before, after = disassembly(module, f"{klp.ENTRY}0"), disassembly(finished, "one")
    assert [line for line in before if "R_X86" not in line] == [
        line for line in after if "R_X86" not in line
    ]


def test_the_glues_table_points_at_the_functions_under_their_own_names() -> None:
    finished = both()
    assert not any(symbol.name.startswith(klp.ENTRY) for symbol in finished.symbols)
    functions = inspect(finished).patch.objects[0].functions
    assert [(function.old_name, function.new_name) for function in functions] == [
        ("old_0", "one"),
        ("old_1", "two"),
    ]
    assert symbol_lines(finished)["one"][3] == "LOCAL"


def test_the_finished_module_reads_back() -> None:
    references = inspect(both()).references
    assert {(r.objname, str(r.symbol)) for r in references} == {
        ("vmlinux", ".klp.sym.vmlinux.hidden,0"),
        ("vmlinux", ".klp.sym.vmlinux.counter,3"),
        ("vmlinux", ".klp.sym.vmlinux.helper,0"),
        ("mod_a", ".klp.sym.mod_b.in_module,0"),
    }


def test_what_nobody_provides_is_refused() -> None:
    module = linked(first())
    with pytest.raises(Refusal) as refused:
        klp.refuse_unresolved(module, frozenset({"__fentry__", "klp_enable_patch"}))
    shows(refused.value, "module-link-failed")
    assert "exported" in refused.value.found
    klp.refuse_unresolved(module, frozenset({"__fentry__", "klp_enable_patch", "exported"}))


def test_a_name_of_an_entry_that_no_function_has_is_refused() -> None:
    """As in a damaged module."""
    module = linked(first())
    moved = tuple(
        replace(symbol, value=symbol.value + 1) if symbol.name.startswith(klp.ENTRY) else symbol
        for symbol in module.symbols
    )
    with pytest.raises(Refusal) as refused:
        klp.finish(replace(module, symbols=moved))
    assert refused.value.code == "module-link-failed"
    assert refused.value.found == f"{klp.ENTRY}0 is no function"


def test_names_with_dots_are_read_back() -> None:
    symbol = ExternalSymbol("mod", "work.isra.0", 12)
    changed = cut(
        TWO, TWO.replace('"two"', '"due"'), Kernel(in_module=symbol, hidden=HIDDEN), "mod"
    )
    module = klp.finish(linked(changed))
    assert symbol in {reference.symbol for reference in inspect(module).references}
