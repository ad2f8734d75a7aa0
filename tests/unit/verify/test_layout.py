# SPDX-License-Identifier: GPL-2.0-or-later
"""A module laid out by us against the same module linked by ld."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.verify.shipped import ShippedModule, lay_out
from suture.verify.sympos import sympos
from tests.unit.toolchain import assemble, compile_c, link, read, tool

SOURCE = r"""
extern int outside(int);
static int counter = 5;
static int zero[4];
static const char *const names[] = { "one", "two" };
int entry(int x) { counter++; zero[0]++; return outside(x + zero[x]) + names[x][0]; }
int (*table[])(int) = { entry, outside };
__attribute__((section(".init.text"))) int once(void) { return counter; }
__attribute__((section(".init.data"))) int gone = 3;
"""


def test_linked_bytes_are_what_ld_makes_at_the_same_addresses() -> None:
    data = link(compile_c(SOURCE, sections=False))
    module = lay_out(read(data, "mod.ko"), "mod")
    fixed = []
    for name in (
        ".text",
        ".data",
        ".rodata",
        ".init.text",
        ".rodata.str1.1",
        ".bss",
        "__mcount_loc",
        ".init.data",
    ):
        symbol = {
            ".text": "entry",
            ".data": "table",
            ".init.text": "once",
            ".init.data": "gone",
        }.get(name)
        if symbol:
            line = next(
                line for line in tool("nm", data=data).splitlines() if line.endswith(f" {symbol}")
            )
            offset = int(line.split()[0], 16)
            fixed.append((name, module.addresses(symbol)[0] - offset))
    # ld orders and merges sections as it likes; a script keeps them apart and where ours are.
    addresses = [start for start, _ in module.sections]
    alloc = [s for s in read(data).sections if s.is_allocated]
    body = "\n".join(
        f"{s.name} {a:#x} : {{ *({s.name}) }}" for s, a in zip(alloc, addresses, strict=True)
    )
    script = f"SECTIONS {{ {body} /DISCARD/ : {{ *(.note*) *(.comment) *(.eh_frame) }} }}\n"
    symbols = {name: module_place(module, name) for name in ("outside", "__fentry__")}
    linked = link_with_script(data, script, symbols)
    for section, start in zip(alloc, addresses, strict=True):
        if section.size and section.type != 8:
            assert module.read(start, section.size) == contents(linked, section.name)
    for name, start in fixed:
        assert start in addresses, name


def module_place(module: ShippedModule, name: str) -> int:
    return next(address for address, names in module.by_address.items() if name in names)


def link_with_script(data: bytes, script: str, symbols: dict[str, int]) -> bytes:
    with tempfile.TemporaryDirectory() as made:
        Path(made, "mod.o").write_bytes(data)
        Path(made, "mod.lds").write_text(script)
        defined = [f"--defsym={name}={address:#x}" for name, address in symbols.items()]
        command = [
            "ld",
            "-O0",
            "--no-relax",
            "-T",
            "mod.lds",
            "-e0",
            *defined,
            "-o",
            "linked",
            "mod.o",
        ]
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return Path(made, "linked").read_bytes()


def contents(linked: bytes, section: str) -> bytes:
    text = tool("objdump", "-s", "-j", section, data=linked)
    rows = re.findall(r"^ [0-9a-f]+ ((?:[0-9a-f]+ ?){1,4}) ", text, re.MULTILINE)
    return bytes.fromhex("".join(row.replace(" ", "") for row in rows))


def test_what_is_freed_after_init_is_known() -> None:
    module = lay_out(read(link(compile_c(SOURCE, sections=False)), "mod.ko"), "mod")
    assert module.is_discarded(module.addresses("once")[0])
    assert module.is_discarded(module.addresses("gone")[0])
    assert not module.is_discarded(module.addresses("entry")[0])


def test_undefined_symbols_have_places_of_their_own_and_are_not_counted() -> None:
    module = lay_out(read(compile_c(SOURCE), "mod.ko"), "mod")
    assert not module.addresses("outside")
    place = module_place(module, "outside")
    assert module.read(place, 1) is None
    assert module.names(place) == ["outside"]


def test_static_symbols_are_not_global() -> None:
    module = lay_out(read(compile_c(SOURCE), "mod.ko"), "mod")
    assert module.addresses("counter")
    assert not module.global_addresses("counter")
    assert module.global_addresses("entry") == module.addresses("entry")


def test_bss_holds_no_bytes() -> None:
    module = lay_out(read(compile_c(SOURCE), "mod.ko"), "mod")
    assert module.read(module.addresses("zero")[0], 4) is None


def test_a_relocation_that_the_loader_does_not_know_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        lay_out(read(assemble(".text\nmovq outside@GOTPCREL(%rip), %rax\n"), "mod.ko"), "mod")
    assert refused.value.code == "relocation-unsupported"


def test_a_name_that_loses_a_namesake_after_init_has_no_sympos() -> None:
    core = compile_c(
        "static int same(void) { return 1; } int (*volatile a)(void) = same;", sections=False
    )
    init = compile_c(
        '__attribute__((section(".init.text"))) static int same(void) { return 2; } int (*volatile b)(void) = same;',
        sections=False,
    )
    module = lay_out(read(link(core, init), "mod.ko"), "mod")
    places = module.addresses("same")
    assert len(places) == 2
    with pytest.raises(Refusal, match="symbol-ambiguous"):
        sympos(module, "same", places[0])
