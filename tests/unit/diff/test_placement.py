# SPDX-License-Identifier: GPL-2.0-or-later
"""Where a new function or variable goes in the live patch module, by what readelf says of it."""

from __future__ import annotations

import pytest

from suture.diff.placement import PLACES, PlacementRule
from suture.elf import writer
from suture.errors import Refusal
from tests.unit.toolchain import (
    changed_names,
    changes,
    link,
    output,
    section_lines,
    symbol_lines,
    tool,
)

BASE = """
#define IN(name) __attribute__((section(name)))
extern int outside(const void *, int);
int work(int x) { return outside("work", x); }
"""


def with_variable(section: str, declaration: str = "int neu = 7") -> tuple[str, str]:
    declaration = declaration.removesuffix(" = 7") if section.startswith(".bss") else declaration
    return BASE, BASE.replace("int work", f'IN("{section}") {declaration};\nint work').replace(
        '"work"', "&neu"
    )


def with_function(section: str) -> tuple[str, str]:
    new = f'IN("{section}") __attribute__((noinline)) static int neu(int x) {{ return outside("neu", x); }}\n'
    return BASE, BASE.replace("int work", f"{new}int work").replace(
        'outside("work", x)', 'outside("work", neu(x))'
    )


def section_of(linked: bytes, symbol: str) -> str:
    """By readelf."""
    index = symbol_lines(linked)[symbol][5]
    text = tool("readelf", "-SW", data=linked)
    line = next(
        line for line in text.splitlines() if line.strip().startswith((f"[ {index}]", f"[{index}]"))
    )
    return line.split("]")[1].split()[0]


@pytest.mark.parametrize(
    ("section", "there"),
    [
        (".data..percpu", ".data..percpu"),
        (".data..percpu..read_mostly", ".data..percpu"),
        (".data..percpu..shared_aligned", ".data..percpu"),
        (".data..ro_after_init", ".data.neu"),
        (".data..read_mostly", ".data..read_mostly"),
        (".data..cacheline_aligned", ".data..cacheline_aligned"),
        (".data.once", ".data.once"),
        (".data..once", ".data..once"),
        (".ref.data", ".ref.data"),
    ],
)
def test_a_new_variable_keeps_its_kind_of_memory(section: str, there: str) -> None:
    linked = link(writer.write(output(*with_variable(section)).obj))
    assert section_of(linked, "neu") == there


def test_per_cpu_variables_of_all_kinds_share_the_one_section_that_the_loader_knows() -> None:
    one = 'IN(".data..percpu") int one = 1;'
    two = 'IN(".data..percpu..shared_aligned") __attribute__((aligned(64))) int two = 2;'
    after = BASE.replace("int work", f"{one}\n{two}\nint work").replace('"work"', "x ? &one : &two")
    linked = link(writer.write(output(BASE, after).obj))
    assert [line[0] for line in section_lines(linked) if "percpu" in line[0]] == [".data..percpu"]
    values = {name: int(symbol_lines(linked)[name][0], 16) for name in ("one", "two")}
    assert values["two"] % 64 == 0
    assert values["one"] != values["two"]


@pytest.mark.parametrize(
    "pointer", ["extern int there; {} int *neu = &there", '{} const char *neu = "text"']
)
def test_a_per_cpu_variable_that_starts_as_a_pointer_is_refused(pointer: str) -> None:
    """The loader applies no relocations to the section."""
    after = BASE.replace("int work", pointer.format('IN(".data..percpu")') + ";\nint work").replace(
        '"work"', "&neu"
    )
    with pytest.raises(Refusal) as refused:
        output(BASE, after)
    assert refused.value.code == "section-changed"
    assert "neu" in refused.value.where


@pytest.mark.parametrize(
    ("section", "there"),
    [
        (".noinstr.text", ".noinstr.text"),
        (".kprobes.text", ".kprobes.text"),
        (".sched.text", ".sched.text"),
        (".ref.text", ".ref.text"),
    ],
)
def test_a_new_function_keeps_its_section(section: str, there: str) -> None:
    linked = link(writer.write(output(*with_function(section)).obj))
    assert section_of(linked, "neu") == there


def test_one_of_several_functions_that_kprobes_must_keep_off_stays_where_it_keeps_off() -> None:
    before = BASE + 'IN(".kprobes.text") int one(int x) { return outside(0, x); }\n'
    before += 'IN(".kprobes.text") int two(int x) { return outside(0, x + 1); }\n'
    after = before.replace("x + 1", "x + 2")
    assert changed_names(changes(before, after)) == {"two"}
    linked = link(writer.write(output(before, after).obj))
    assert section_of(linked, "two") == ".kprobes.text"


@pytest.mark.parametrize(
    "place", [place for place in PLACES if place.why], ids=lambda place: place.prefix
)
def test_what_has_its_meaning_by_its_place_in_the_image_is_refused(place: PlacementRule) -> None:
    section = place.prefix
    sources = with_function(section) if section.endswith(".text") else with_variable(section)
    with pytest.raises(Refusal) as refused:
        output(*sources)
    assert refused.value.code == "section-changed"
    assert f"{section}, which " in refused.value.found or "section " in refused.value.found


def test_the_refusal_of_a_new_static_call_says_what_to_use_instead() -> None:
    with pytest.raises(Refusal) as refused:
        output(*with_function(".static_call.text"))
    assert "Call through a function pointer" in refused.value.remedy


@pytest.mark.parametrize(
    ("section", "code"), [("__tracepoints", "tracepoint-changed"), (".BTF_ids", "section-changed")]
)
def test_an_entry_of_a_list_that_code_refers_to_is_not_copied(section: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        output(*with_variable(section))
    assert refused.value.code == code
