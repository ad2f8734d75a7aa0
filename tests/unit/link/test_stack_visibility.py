# SPDX-License-Identifier: GPL-2.0-or-later
"""New code that is not entered by a call: in the range that the core looks for, as nm and objdump
see it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from suture.diff.output import OutputObject
from suture.elf import writer
from suture.elf.object import ObjectFile
from suture.errors import Refusal
from suture.link import klp
from suture.link.stack_visibility import cover, isolate_sections
from suture.model import LivePatch, PatchedFunction, PatchedObject
from suture.module.inspect import inspect
from tests.examples import shows
from tests.unit.link.module import Kernel, cut, linked
from tests.unit.toolchain import compile_c, disassembly, link, section_lines, symbol_lines, tool

BASE = """
extern int outside(int);
extern __attribute__((cold)) void complain(int);
#define NEW static __attribute__((noinline)) int
int work(int x) { return outside(x); }
int other(int x) { return outside(x) + 1; }
"""
HELPER = "NEW helper(int x) { return outside(x) + outside(x + 1); }\n"
COLD = "if (x == 7) { complain(x); return 3; } return outside(x) + 2;"


def patched(body: str, *, helper: str = HELPER, function: str = "work") -> str:
    head = BASE.index(f"int {function}")
    old = re.search(r"\{.*\}", BASE[head:])
    assert old
    return BASE[:head] + helper + BASE[head:].replace(old[0], f"{{ {body} }}", 1)


def made(*outputs: OutputObject) -> ObjectFile:
    """A finished module."""
    functions: dict[str, list[PatchedFunction]] = {}
    count = 0
    for output in outputs:
        for replaced in output.replaced:
            function = PatchedFunction(replaced.original.name, 0, f"{klp.ENTRY}{count}", "test.c")
            functions.setdefault(output.objname, []).append(function)
            count += 1
    objects = tuple(PatchedObject(name, tuple(found)) for name, found in functions.items())
    return klp.finish(cover(linked(*outputs), LivePatch("livepatch_test", objects)))


def module(text: str, objname: str = "vmlinux") -> ObjectFile:
    return made(cut(BASE, text, Kernel(), objname))


def seen(obj: ObjectFile, function: str) -> tuple[int, int]:
    """The range of a function as kernel/module/kallsyms.c: find_kallsyms_symbol() finds it, from
    nm's symbols."""
    symbols = symbol_lines(obj)
    value, _, _, _, _, section = symbols[function]
    size = next(size for name, _, size, _ in section_lines(obj) if name == f".text.{function}")
    starts = [
        int(row[0], 16)
        for name, row in symbols.items()
        if row[5] == section and not name.startswith((".L", "["))
    ]
    return int(value, 16), min([start for start in starts if start > int(value, 16)], default=size)


def places(obj: ObjectFile, name: str) -> tuple[str, int]:
    """Section and start of a symbol."""
    row = symbol_lines(obj)[name]
    sections = dict(
        re.findall(
            r"^\s*\[ *(\d+)\] (\S+)", tool("readelf", "-SW", data=writer.write(obj)), re.MULTILINE
        )
    )
    return sections[row[5]], int(row[0], 16)


def is_seen_with(obj: ObjectFile, name: str, function: str) -> bool:
    section, start = places(obj, name)
    low, high = seen(obj, function)
    return section == f".text.{function}" and low < start < high


def test_a_cold_part_is_seen_with_its_function() -> None:
    obj = module(patched(COLD, helper=""))
    assert is_seen_with(obj, ".Lwork.cold", "work")
    assert not any("unlikely" in name for name, *_ in section_lines(obj))
    assert [f.new_name for one in inspect(obj).patch.objects for f in one.functions] == ["work"]


@pytest.mark.parametrize(
    "body",
    [
        "return helper(x + 2);",
        "if (x > 7) return helper(x); return outside(x);",
        "int (*volatile way)(int) = helper; return way(x);",
    ],
    ids=["a tail call", "a jump under a condition", "by its address"],
)
def test_what_is_not_entered_by_a_call_alone_is_seen_with_its_user(body: str) -> None:
    obj = module(patched(body))
    assert is_seen_with(obj, ".Lhelper", "work")
    assert "helper" not in symbol_lines(obj)


def test_what_the_compiler_made_of_these_is_a_jump() -> None:
    assert any(
        "jmp" in line for line in disassembly(compile_c(patched("return helper(x + 2);")), "work")
    )


@pytest.mark.parametrize(
    "body",
    ["return helper(x) + 1;", 'int y = helper(x + 2); asm volatile("" ::: "memory"); return y;'],
)
def test_what_is_called_keeps_its_name(body: str) -> None:
    assert places(module(patched(body)), "helper") == (".text.helper", 0)


def test_a_jump_from_a_new_function_counts_as_well() -> None:
    text = patched(
        "return helper(x) + 1;",
        helper=f"{HELPER.replace('helper', 'last')}NEW helper(int x) {{ return last(x); }}\n",
    )
    obj = module(text)
    assert is_seen_with(obj, ".Llast", "work")
    assert places(obj, "helper")[0] == ".text.helper"


def test_the_cold_part_of_a_new_function_goes_with_it() -> None:
    obj = module(patched("return helper(x + 2);", helper=f"NEW helper(int x) {{ {COLD} }}\n"))
    assert is_seen_with(obj, ".Lhelper", "work")
    assert is_seen_with(obj, ".Lhelper.cold", "work")


def test_a_function_behind_a_table_is_found() -> None:
    helper = f"{HELPER}static int (*const ways[])(int) = {{ helper, outside }};\nextern volatile int which;\n"
    assert is_seen_with(
        module(patched("return ways[which](x);", helper=helper)), ".Lhelper", "work"
    )


def test_a_function_of_another_file_is_seen_with_who_jumps_to_it() -> None:
    provider = "int provided(int x) { return outside(x) * 3; }\n"
    user = cut(BASE, patched("return provided(x);", helper="extern int provided(int);\n"), Kernel())
    obj = made(user, cut(BASE, BASE + provider, Kernel()))
    assert is_seen_with(obj, ".Lprovided", "work")
    assert symbol_lines(obj)[".Lprovided"][3] == "LOCAL"


def test_the_code_is_the_same_and_leads_where_it_led() -> None:
    """Linked to addresses by ld, with and without it: equal instructions, equal targets by name."""
    output = cut(BASE, patched("if (x > 9) return helper(x); " + COLD), Kernel())
    before, after = linked(output), made(output)
    sizes = {name: int(row[1]) for name, row in symbol_lines(before).items() if row[2] == "FUNC"}

    def instructions(obj: ObjectFile, name: str) -> list[str]:
        stubs = "#define F(n) int n(void) { return 0; }\nF(outside) F(complain) F(klp_enable_patch) F(__fentry__)"
        data = link(
            writer.write(obj),
            compile_c(stubs),
            options=("-e", "0", "--unresolved-symbols=ignore-all"),
        )
        symbols = [line.split() for line in tool("nm", data=data).splitlines()]
        starts = {row[2].removeprefix(".L"): int(row[0], 16) for row in symbols if row[1] in "tT"}
        start, stop = starts[name], starts[name] + sizes[name]
        limits = (f"--start-address={start:#x}", f"--stop-address={stop:#x}")
        text = tool("objdump", "-d", "--no-show-raw-insn", *limits, data=data)
        lines = [line.split("\t")[1].strip() for line in text.splitlines() if "\t" in line]
        return [
            re.sub(r"([0-9a-f]{6,}) <\S+>", lambda m: near(int(m[1], 16), starts), line)
            for line in lines
        ]

    for name in ("work", "helper", "work.cold"):
        assert instructions(before, name) == instructions(after, name)
    assert any("helper+0x0" in line for line in instructions(after, "work"))
    assert any("work.cold+0x0" in line for line in instructions(after, "work"))
    assert any(re.search(r"jmp +work\+0x[1-9]", line) for line in instructions(after, "work.cold"))


def near(address: int, starts: dict[str, int]) -> str:
    name, start = max(
        ((n, s) for n, s in starts.items() if s <= address), key=lambda item: (item[1], item[0])
    )
    return f"{name}+{address - start:#x}"


def test_two_files_keep_functions_of_one_name_apart() -> None:
    first = cut(BASE, patched(COLD, helper=""), Kernel())
    second = cut(
        BASE,
        patched(COLD.replace("7", "8"), helper="").replace("outside(x) + 2", "outside(x) + 4"),
        Kernel(),
    )
    obj = made(first, second)
    text = [name for name, *_ in section_lines(obj) if name.startswith(".text.")]
    assert text == [".text.work", ".text.work.2"]
    for name, constant in ((".text.work", "0x7"), (".text.work.2", "0x8")):
        code = tool("objdump", "-d", "-j", name, "--no-show-raw-insn", data=writer.write(obj))
        assert re.search(rf"cmp\s+\${constant},", code)
        assert len(re.findall(r"<\.Lwork\.cold>:", code)) == 1


def test_code_in_a_section_of_its_own_kind_is_refused() -> None:
    helper = HELPER.replace("NEW", 'static __attribute__((noinline, section(".noinstr.text"))) int')
    with pytest.raises(Refusal) as refused:
        module(patched("return helper(x);", helper=helper))
    shows(refused.value, "tail-call-unseen")


def test_code_that_functions_of_several_modules_jump_to_is_refused_unless_the_kernel_itself_is_patched() -> (
    None
):
    provider = "int provided(int x) { return outside(x) * 3; }\n"
    text = patched("return provided(x);", helper="extern int provided(int);\n")
    ones = [cut(BASE, text, Kernel(), name) for name in ("mod_a", "mod_b")]
    provided = cut(BASE, BASE + provider, Kernel(), "mod_a")
    with pytest.raises(Refusal) as refused:
        made(*ones, provided)
    assert refused.value.code == "tail-call-unseen"
    assert "several modules" in refused.value.found
    third = cut(BASE, patched("return outside(x) + 9;", helper="", function="other"), Kernel())
    assert is_seen_with(made(*ones, provided, third), ".Lprovided", "other")


MERGING = """SECTIONS {
    .text 0 : { *(.text .text.[0-9a-zA-Z_]*) }
}
"""
"""scripts/module.lds of Linux 7.3, made short."""


@pytest.mark.parametrize("script", ["SECTIONS { }\n", MERGING], ids=["6.12", "7.3"])
def test_functions_keep_sections_of_their_own_whatever_the_linker_merges(
    script: str, tmp_path: Path
) -> None:
    output = cut(BASE, patched("return helper(x) + 1;"), Kernel())
    parts = {"a.o": output.obj, "b.o": output.obj}
    (tmp_path / "module.lds").write_text(script)
    objects = [writer.write(obj) for obj in isolate_sections(parts, script).values()]
    # Both have the same symbols, so each is linked alone; the names differ.
    options = ("-r", "-T", str(tmp_path / "module.lds"))
    names = [
        {name for name, *_ in section_lines(link(obj, options=options)) if "helper" in name}
        for obj in objects
    ]
    texts = [{name for name in found if name.startswith(".text")} for found in names]
    assert all(len(found) == 1 for found in texts)
    assert texts[0].isdisjoint(texts[1])
