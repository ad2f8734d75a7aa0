# SPDX-License-Identifier: GPL-2.0-or-later
"""Symbols by name, address and position, and every file they can come from."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.kernel import kallsyms, symbol_index, symtab
from suture.kernel.kallsyms import Kallsyms, KernelSymbol
from suture.kernel.symbol_index import IndexedKallsyms
from tests.examples import shows
from tests.unit.conftest import only_refusals

LISTING = b"""\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81000000 T _text
ffffffff81000010 t cleanup
ffffffff81000030 t reset
ffffffff81000040 t cleanup
ffffffff82000000 D jiffies
ffffffffc0001000 t cleanup\t[loop]
ffffffffc0001100 t lo_open\t[loop]
ffffffffc0002000 t cleanup\t[nbd]
ffffffffc0002040 t cleanup\t[nbd]
"""


@pytest.fixture(params=["read", "searched"])
def symbols(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Kallsyms:
    if request.param == "read":
        return kallsyms.parse(LISTING, "kallsyms")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    listing = tmp_path / "kallsyms"
    listing.write_bytes(LISTING)
    symbol_index.read(listing)
    again = symbol_index.read(listing)
    assert isinstance(again, IndexedKallsyms)
    return again


def test_symbols_keep_the_kernels_order(symbols: Kallsyms) -> None:
    written = "".join(
        f"{symbol.address:016x} {symbol.type} {symbol.name}"
        + ("\n" if symbol.module == "vmlinux" else f"\t[{symbol.module}]\n")
        for symbol in symbols.symbols
    )
    assert written.encode() == LISTING


def test_sympos_counts_within_one_object(symbols: Kallsyms) -> None:
    positions = [(symbol.module, symbols.sympos(symbol)) for symbol in symbols.named("cleanup")]
    assert positions == [("vmlinux", 1), ("vmlinux", 2), ("loop", 0), ("nbd", 1), ("nbd", 2)]
    assert symbols.sympos(symbols.named("reset")[0]) == 0


def test_a_symbol_of_another_kernel_has_no_position(symbols: Kallsyms) -> None:
    with pytest.raises(ValueError, match="not in"):
        symbols.sympos(KernelSymbol(0x1234, "t", "reset", "vmlinux"))


def test_names_can_be_asked_for_in_one_object(symbols: Kallsyms) -> None:
    assert [symbol.address for symbol in symbols.named("cleanup", "loop")] == [0xFFFFFFFFC0001000]
    assert symbols.named("cleanup", "tun") == ()
    assert symbols.named("unknown") == ()


def test_addresses_lead_to_symbols(symbols: Kallsyms) -> None:
    assert [symbol.name for symbol in symbols.at(0xFFFFFFFF81000000)] == ["_stext", "_text"]
    assert symbols.at(0xFFFFFFFF81000001) == ()
    inside = symbols.containing(0xFFFFFFFF8100003F)
    assert inside is not None
    assert inside.name == "reset"
    assert kallsyms.parse(b"ffffffff81000000 T a\n", "k").containing(0x1000) is None


def test_a_size_reaches_to_the_next_address(symbols: Kallsyms) -> None:
    assert [symbols.size(symbol) for symbol in symbols.at(0xFFFFFFFF81000000)] == [0x10, 0x10]
    assert symbols.size(symbols.named("reset")[0]) == 0x10
    assert symbols.size(symbols.symbols[-1]) == 0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\xff\xfe\x00\x01",
        b"hello world\n",
        b"ffffffff81000000 T\n",
        b"xyz T name\n",
        b"ffffffff81000000 TT name\n",
        b"ffffffff81000000 T name loop\n",
        b"ffffffff81000000 T name [loop] more\n",
        b"0000000000000000 T _text\n0000000000000000 T _stext\n",
        b"ffffffffffffffff B The real System.map is in the linux-image-6.1.0-50-amd64-dbg package\n",
    ],
    ids=repr,
)
def test_what_is_no_listing_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        kallsyms.parse(content, "listing")
    assert refusal.value.code == "kallsyms-malformed"
    assert "listing" in refusal.value.where


def test_hidden_addresses_are_named_as_such() -> None:
    with pytest.raises(Refusal, match="address") as refusal:
        kallsyms.parse(b"0000000000000000 T _text\n", "/proc/kallsyms")
    assert "root" in refusal.value.remedy


def of_table(kernel: Path) -> Kallsyms:
    """Return the symbols of a kernel's symbol table."""
    listing = symtab.listing(kernel.read_bytes(), str(kernel))
    assert listing is not None
    return kallsyms.parse(listing, str(kernel))


def test_the_symbol_table_of_a_kernel_lists_what_nm_lists(toy_kernel: Path) -> None:
    nm = subprocess.run(["nm", "-n", toy_kernel], capture_output=True, text=True, check=True).stdout
    expected = {(line.split()[0], line.split()[2]) for line in nm.splitlines()}
    found = of_table(toy_kernel)
    assert {(f"{symbol.address:016x}", symbol.name) for symbol in found.symbols} == expected
    assert [symbol.address for symbol in found.symbols] == sorted(
        symbol.address for symbol in found.symbols
    )
    assert [found.sympos(symbol) for symbol in found.named("same")] == [1, 2]


def test_the_symbol_tables_letters_are_nms(toy_kernel: Path) -> None:
    nm = subprocess.run(["nm", toy_kernel], capture_output=True, text=True, check=True).stdout
    expected = {(line.split()[2], line.split()[1]) for line in nm.splitlines()}
    found = {(symbol.name, symbol.type) for symbol in of_table(toy_kernel).symbols}
    # nm calls percpu data D; in kallsyms they are absolute.
    assert found - expected == {("percpu_start", "A"), ("this_cpu_value", "A")}


def test_a_system_map_is_read_as_well(toy_kernel: Path, tmp_path: Path) -> None:
    nm = subprocess.run(["nm", "-n", toy_kernel], capture_output=True, check=True).stdout
    (tmp_path / "System.map").write_bytes(nm)
    by_map = {symbol[:3:2] for symbol in kallsyms.read(tmp_path / "System.map").symbols}
    assert by_map == {symbol[:3:2] for symbol in of_table(toy_kernel).symbols}


def test_an_image_without_any_symbols_is_refused(tmp_path: Path, stripped_kernel: bytes) -> None:
    (tmp_path / "vmlinux").write_bytes(stripped_kernel)
    with pytest.raises(Refusal) as refusal:
        kallsyms.extract(tmp_path / "vmlinux")
    shows(refusal.value, "kallsyms-not-found")
    assert "Traceback" not in str(refusal.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        kallsyms.read(tmp_path / "nothing")
    assert refusal.value.code == "file-unreadable"


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(LISTING)))
def test_a_damaged_listing_is_refused_or_read(noise: bytes, place: int) -> None:
    with only_refusals("kallsyms-malformed"):
        kallsyms.parse(LISTING[:place] + noise + LISTING[place:], "listing")


@settings(max_examples=300, deadline=None)
@given(data=st.data(), noise=st.binary(min_size=1, max_size=16))
def test_a_damaged_symbol_table_is_refused_or_read(
    toy_kernel: Path, data: st.DataObject, noise: bytes
) -> None:
    kernel = bytearray(toy_kernel.read_bytes())
    tail = len(kernel) - 6000
    place = data.draw(st.one_of(st.integers(0, 64), st.integers(tail, len(kernel) - 1)))
    kernel[place : place + len(noise)] = noise
    with only_refusals("kallsyms-malformed"):
        listing = symtab.listing(bytes(kernel), "vmlinux")
        if listing:
            kallsyms.parse(listing, "vmlinux")
