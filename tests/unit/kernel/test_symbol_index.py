# SPDX-License-Identifier: GPL-2.0-or-later
"""An index finds what a search through all symbols finds, and is never another listing's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.host.paths import cache
from suture.kernel import kallsyms, symbol_index
from suture.kernel.symbol_index import IndexedKallsyms

LISTING = b"ffffffff81000000 T _stext\n\nffffffff81000010 t reset\nffffffff81000020 t reset\n"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def listing(tmp_path: Path) -> Path:
    path = tmp_path / "listing"
    path.write_bytes(LISTING)
    return path


def kept() -> Path:
    (path,) = (cache() / "indexes").iterdir()
    return path


LINES = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 0x10, 0xFFFFFFFF81000000]),
        st.sampled_from("Tt"),
        st.sampled_from(["a", "b", "ab", "a.0", "\u00e9", "__a"]),
        st.sampled_from(["", "\t[m]", "\n"]),
    ),
    min_size=1,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(lines=LINES)
def test_both_ways_of_looking_up_agree(
    tmp_path: Path, lines: Sequence[tuple[int, str, str, str]]
) -> None:
    rows = [(0x20, "T", "first", ""), *lines]
    text = "\n".join(f"{address:016x} {kind} {name}{rest}" for address, kind, name, rest in rows)
    path = tmp_path / "some"
    path.write_bytes(text.encode())
    parsed = kallsyms.parse(text.encode(), "some")
    symbol_index.read(path)
    found = symbol_index.read(path)
    assert isinstance(found, IndexedKallsyms)
    assert found.symbols == parsed.symbols
    for one in parsed.symbols:
        assert found.named(one.name) == parsed.named(one.name)
        assert found.sympos(one) == parsed.sympos(one)
        for address in range(max(0, one.address - 1), one.address + 2):
            assert found.at(address) == parsed.at(address)
            assert found.containing(address) == parsed.containing(address)
        assert found.size(one) == parsed.size(one)
    assert found.named("none") == ()


def test_a_changed_listing_is_read_again(listing: Path) -> None:
    symbol_index.read(listing)
    listing.write_bytes(LISTING.replace(b"reset", b"reses"))
    assert len(symbol_index.read(listing).named("reses")) == 2


@pytest.mark.parametrize("damage", ["cut off", "changed", "empty"])
def test_a_damaged_index_is_made_again(damage: str, listing: Path) -> None:
    symbol_index.read(listing)
    whole = kept().read_bytes()
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    kept().write_bytes({"cut off": whole[:-4], "changed": changed, "empty": b""}[damage])
    assert not isinstance(symbol_index.read(listing), IndexedKallsyms)
    assert kept().read_bytes() == whole
    assert isinstance(symbol_index.read(listing), IndexedKallsyms)


def test_what_is_no_listing_is_refused_and_not_kept(listing: Path) -> None:
    listing.write_bytes(b"no listing at all\n")
    for _ in range(2):
        with pytest.raises(Refusal) as refusal:
            symbol_index.read(listing)
        assert refusal.value.code == "kallsyms-malformed"
    assert not (cache() / "indexes").exists()
