# SPDX-License-Identifier: GPL-2.0-or-later
"""Two objects and a list of symbols -> output object, as readelf, nm and ld see it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from suture import arch
from suture.builder.compare_objects import Compared, compare_objects
from suture.errors import Refusal
from suture.objects.special import aliases, structs
from tests.examples import shows
from tests.unit.toolchain import (
    MACHINE,
    SIZES,
    assemble,
    compile_c,
    disassembly,
    link,
    relocation_lines,
    symbol_lines,
    tool,
)

SOURCE = r"""
extern int hidden(const char *, int);
extern int exported(const char *, int);
static int state = 5;
static __attribute__((noinline)) int helper(int x) { return hidden("helped", x + state++); }
int shown(int x) { return helper(x) + hidden("shown", x) + exported("shown", state); }
"""
CHANGED = SOURCE.replace('("shown", x)', '("SHOWN", x)')

OTHER = r"""
static int state = 7;
static __attribute__((noinline)) int helper(int x) { state ^= x; return x * 3; }
int hidden(const char *s, int x) { return helper(x) + *s; }
int exported(const char *s, int x) { return helper(-x) + *s; }
"""

SYMVERS = "0x00000000\texported\tvmlinux\tEXPORT_SYMBOL\t\n0x00000000\t__fentry__\tvmlinux\tEXPORT_SYMBOL\t\n"
ADDRESS = "ffffffff8100"


def named(source: str, name: str, *options: str) -> bytes:
    """An object with the ``STT_FILE`` symbol that the compiler gives a file of that name."""
    return compile_c(f'__asm__(".file \\"{name}\\"");\n{source}', *options)


def image(*objects: bytes) -> bytes:
    return link(*objects, options=("-e", "0", "--unresolved-symbols=ignore-all"))


def listing(*names: str) -> bytes:
    """:param names: ``type name``, in order."""
    return "".join(f"{ADDRESS}{number:04x} {name}\n" for number, name in enumerate(names)).encode()


SYMBOLS = listing("T hidden", "T exported", "t helper", "T shown", "d state")


def compared(
    directory: Path,
    symbols: bytes,
    original: bytes | None = None,
    patched: bytes | None = None,
    *,
    objname: str = "vmlinux",
    symvers: str = SYMVERS,
    sizes: Mapping[str, int] | None = None,
) -> Compared:
    contents = {
        "before.o": compile_c(SOURCE) if original is None else original,
        "after.o": compile_c(CHANGED) if patched is None else patched,
        "symbols": symbols,
        "symvers": symvers.encode(),
    }
    for name, data in contents.items():
        (directory / name).write_bytes(data)
    return compare_objects(
        directory / "before.o",
        directory / "after.o",
        objname=objname,
        symbols=directory / "symbols",
        exports=directory / "symvers",
        name="fix",
        output=directory / "out.o",
        sizes=sizes,
    )


def refused(directory: Path, code: str, *arguments: bytes, **more: object) -> Refusal:
    with pytest.raises(Refusal) as error:
        compared(directory, *arguments, **more)  # type: ignore[arg-type]
    assert error.value.code == code
    assert not (directory / "out.o").exists()
    return error.value


def undefined(path: Path) -> set[str]:
    return set(tool("nm", "-u", path).replace(" U ", "").split())


def test_the_output_has_what_changed_and_says_how_the_rest_is_reached(tmp_path: Path) -> None:
    found = compared(tmp_path, SYMBOLS)
    assert undefined(found.path) == {
        "__fentry__",
        "exported",
        "vmlinux:.klp.sym.vmlinux.helper,0",
        "vmlinux:.klp.sym.vmlinux.hidden,0",
        "vmlinux:.klp.sym.vmlinux.state,0",
    }
    lines = symbol_lines(found.path.read_bytes())
    assert lines["shown"][2:4] == ["FUNC", "LOCAL"]
    (function,) = found.functions
    assert (function.old_name, function.sympos) == ("shown", 0)
    assert lines[function.new_name][2:4] == ["FUNC", "GLOBAL"]
    assert lines[function.new_name][0] == lines["shown"][0]
    assert not any(
        "SECTION" in line and "UND" in line
        for line in tool("readelf", "-sW", found.path).splitlines()
    )


def test_the_code_is_the_patched_code(tmp_path: Path) -> None:
    found = compared(tmp_path, SYMBOLS)
    mine = disassembly(found.path.read_bytes(), found.functions[0].new_name)
    theirs = disassembly(compile_c(CHANGED), "shown")
    assert [
        line.replace("vmlinux:.klp.sym.vmlinux.", "").replace(",0", "") for line in mine
    ] == theirs


def test_the_output_is_what_a_linker_takes(tmp_path: Path) -> None:
    found = compared(tmp_path, SYMBOLS)
    (function,) = found.functions
    user = compile_c(
        f"extern void {function.new_name}(void); void *table[] = {{ {function.new_name} }};"
    )
    linked = link(user, found.path.read_bytes())
    assert relocation_lines(linked, ".data.table") == [f"0 R_X86_64_64 {function.new_name} + 0"]


# --- which of several

TWICE = listing("T hidden", "T exported", "t helper", "d state", "t helper", "T shown")


def test_a_listing_without_files_leaves_namesakes_in_doubt(tmp_path: Path) -> None:
    refusal = refused(tmp_path, "symbol-ambiguous", TWICE)
    assert refusal.where.endswith("before.o: helper")
    assert "2 symbols" in refusal.found


@pytest.mark.parametrize(("first", "position"), [(True, 1), (False, 2)])
def test_an_image_with_files_tells_namesakes_apart(
    tmp_path: Path, first: bool, position: int
) -> None:
    ours, theirs = named(SOURCE, "shown.c"), named(OTHER, "other.c")
    vmlinux = image(ours, theirs) if first else image(theirs, ours)
    found = compared(tmp_path, vmlinux, ours, named(CHANGED, "shown.c"))
    assert f"vmlinux:.klp.sym.vmlinux.helper,{position}" in undefined(found.path)
    assert f"vmlinux:.klp.sym.vmlinux.state,{position}" in undefined(found.path)
    # nm -n counts as the kernel does: by address.
    listed = [
        line for line in tool("nm", "-n", data=vmlinux).splitlines() if line.endswith(" t helper")
    ]
    assert len(listed) == 2
    address = listed[position - 1].split()[0]
    text = tool("objdump", "-d", "--disassemble=shown", data=vmlinux)
    assert f"{int(address, 16):x} <helper>" in text


def test_of_files_of_one_name_the_one_with_all_our_symbols_is_ours(tmp_path: Path) -> None:
    ours = named(SOURCE, "same.c")
    theirs = named(OTHER.replace(" state", " balance"), "same.c")
    found = compared(tmp_path, image(theirs, ours), ours, named(CHANGED, "same.c"))
    assert "vmlinux:.klp.sym.vmlinux.helper,2" in undefined(found.path)
    assert "vmlinux:.klp.sym.vmlinux.state,0" in undefined(found.path)


def test_files_of_one_name_with_the_same_symbols_are_refused(tmp_path: Path) -> None:
    ours, theirs = named(SOURCE, "same.c"), named(OTHER, "same.c")
    refused(tmp_path, "symbol-ambiguous", image(ours, theirs), ours, named(CHANGED, "same.c"))


def test_a_static_function_of_another_file_is_not_taken(tmp_path: Path) -> None:
    """The only ``helper`` is another file's; in the image ours was inlined."""
    ours = named(SOURCE, "shown.c")
    shipped = named(SOURCE.replace("__attribute__((noinline))", "inline"), "shown.c")
    vmlinux = image(shipped, named(OTHER, "other.c"))
    refused(tmp_path, "symbol-not-found", vmlinux, ours, named(CHANGED, "shown.c"))


def test_what_is_static_here_and_global_there_is_not_the_same(tmp_path: Path) -> None:
    symbols = SYMBOLS.replace(b" t helper", b" T helper")
    assert "static" in refused(tmp_path, "symbol-not-found", symbols).found


def test_a_replaced_static_function_has_its_position(tmp_path: Path) -> None:
    ours = named(SOURCE, "shown.c")
    changed = named(SOURCE.replace('"helped"', '"HELPED"'), "shown.c")
    found = compared(tmp_path, image(named(OTHER, "other.c"), ours), ours, changed)
    assert [(f.old_name, f.sympos, f.new_name) for f in found.functions] == [
        ("helper", 2, "livepatch_function_vmlinux_helper_2")
    ]


COUNTED = """
extern int hidden(const char *, int);
int counted(int x) { static int calls; return hidden("n", ++calls); }
"""


def counted(number: int, *others: str) -> bytes:
    return listing("T hidden", f"b calls.{number}", *others, "T counted")


def number_of(data: bytes) -> int:
    return next(
        int(name.partition(".")[2]) for name in symbol_lines(data) if name.startswith("calls.")
    )


def test_a_numbered_variable_is_found_by_a_name_that_no_other_has(tmp_path: Path) -> None:
    before, after = (compile_c(text) for text in (COUNTED, COUNTED.replace('"n"', '"N"')))
    number = number_of(before)
    found = compared(tmp_path, counted(number), before, after)
    assert f"vmlinux:.klp.sym.vmlinux.calls.{number},0" in undefined(found.path)


def test_a_numbered_variable_is_refused_where_others_have_its_name(tmp_path: Path) -> None:
    before, after = (compile_c(text) for text in (COUNTED, COUNTED.replace('"n"', '"N"')))
    refused(
        tmp_path, "symbol-ambiguous", counted(number_of(before), "b calls.99999"), before, after
    )


def test_percpu_symbols_may_be_global_or_static(tmp_path: Path) -> None:
    symbols = b"0000000000000000 A state\n" + SYMBOLS.replace(
        f"{ADDRESS}0004 d state\n".encode(), b""
    )
    assert "vmlinux:.klp.sym.vmlinux.state,0" in undefined(compared(tmp_path, symbols).path)


def test_what_is_freed_after_init_is_refused(tmp_path: Path) -> None:
    symbols = listing(
        "T exported", "d state", "t helper", "T shown", "D __init_begin", "T hidden", "D __init_end"
    )
    assert refused(tmp_path, "init-referenced", symbols).where.endswith("hidden")


def test_a_weak_function_that_another_file_overrides_is_not_replaced(tmp_path: Path) -> None:
    before, after = (
        compile_c(text.replace("int shown", "__attribute__((weak)) int shown"))
        for text in (SOURCE, CHANGED)
    )
    refused(tmp_path, "function-not-in-kernel", SYMBOLS, before, after)
    assert compared(tmp_path, SYMBOLS.replace(b"T shown", b"W shown"), before, after).functions


# --- modules

MODULE_SYMVERS = SYMVERS + "0x00000000\thidden\tother_mod\tEXPORT_SYMBOL\t\n"


def test_a_modules_file_says_what_the_module_has(tmp_path: Path) -> None:
    module = link(named(OTHER, "other.c"), named(SOURCE, "shown.c"))
    found = compared(
        tmp_path,
        module,
        named(SOURCE, "shown.c"),
        named(CHANGED, "shown.c"),
        objname="my-mod",
        symvers=SYMVERS,
    )
    assert undefined(found.path) == {
        "__fentry__",
        "exported",
        "my_mod:.klp.sym.my_mod.helper,2",
        "my_mod:.klp.sym.my_mod.hidden,0",
        "my_mod:.klp.sym.my_mod.state,2",
    }


def test_a_symbol_of_another_module_needs_a_module_that_depends_on_it(tmp_path: Path) -> None:
    symbols = compile_c(SOURCE)
    new = compile_c(
        "int foreign(void);"
        + SOURCE.replace('hidden("shown", x)', 'hidden("SHOWN", x) + foreign()')
    )
    symvers = MODULE_SYMVERS + "0x00000000\tforeign\tthird_mod\tEXPORT_SYMBOL\t\n"
    refused(
        tmp_path,
        "module-dependency-new",
        symbols,
        compile_c(SOURCE),
        new,
        objname="my_mod",
        symvers=symvers,
    )
    found = compared(tmp_path, symbols, objname="my_mod", symvers=MODULE_SYMVERS)
    assert "my_mod:.klp.sym.other_mod.hidden,0" in undefined(found.path)


def test_kallsyms_lists_loaded_modules_too(tmp_path: Path) -> None:
    own = b"".join(
        f"ffffffffc000{number:04x} {name}\t[my_mod]\n".encode()
        for number, name in enumerate(("t helper", "T shown", "d state"))
    )
    found = compared(tmp_path, listing("T hidden", "T shown") + own, objname="my_mod")
    assert undefined(found.path) == {
        "__fentry__",
        "exported",
        "my_mod:.klp.sym.my_mod.helper,0",
        "my_mod:.klp.sym.vmlinux.hidden,0",
        "my_mod:.klp.sym.my_mod.state,0",
    }


def test_namesakes_in_a_loaded_module_are_refused(tmp_path: Path) -> None:
    """While it is loaded, its init symbols count as well, and kallsyms no longer has them."""
    names = ("t shown", "t helper", "T shown", "d state")
    own = b"".join(
        f"ffffffffc000{n:04x} {name}\t[my_mod]\n".encode() for n, name in enumerate(names)
    )
    refused(tmp_path, "symbol-ambiguous", listing("T hidden") + own, objname="my_mod")


def test_a_module_stripped_of_files_is_told_apart_by_neighbours(tmp_path: Path) -> None:
    def stripped(data: bytes) -> bytes:
        (tmp_path / "it.o").write_bytes(data)
        files = [name for name, line in symbol_lines(data).items() if line[2] == "FILE"]
        names = [f"--strip-symbol={name}" for name in files]
        subprocess.run(["objcopy", *names, "it.o"], cwd=tmp_path, check=True)
        return (tmp_path / "it.o").read_bytes()

    def between(name: str, source: str) -> str:
        static = "static __attribute__((noinline)) int {0}(int x) {{ return x ^ {1}; }}\n"
        static += "int u{0}(int x) {{ return {0}(-x); }}\n"
        first, last = (static.format(f"{name}_{place}", ord(place) * len(name)) for place in "ab")
        return first + source + last

    ours, theirs = between("ours", SOURCE), between("theirs", OTHER)
    before, after = (
        named(text, "shown.c", "-fno-toplevel-reorder") for text in (ours, between("ours", CHANGED))
    )
    module = stripped(link(named(theirs, "other.c", "-fno-toplevel-reorder"), before))
    assert "FILE" not in {line[2] for line in symbol_lines(module).values()}
    found = compared(tmp_path, module, stripped(before), stripped(after), objname="m")
    assert "m:.klp.sym.m.helper,2" in undefined(found.path)


# --- sizes of entries

TRAPS = r"""
struct bug_entry { int addr, file; unsigned short line, flags; };
struct bug_entry *last;
extern int hidden(const char *, int);
int shown(int x)
{
    if (x == 3)
        asm volatile("1: ud2\n.pushsection __bug_table,\"aw\"\n.long 1b - .\n.long 0\n.word 1\n.word 0\n.popsection");
    return hidden("shown", x + last->line);
}
"""
TRAPS_CHANGED = TRAPS.replace('"shown"', '"SHOWN"')
TRAPS_SYMBOLS = listing("T hidden", "T shown", "B last")


def test_unknown_entry_sizes_are_asked_for(tmp_path: Path) -> None:
    # Without the distance of its code, an entry shows nothing.
    odd = [compile_c(text.replace(".long 1b - .", ".long 0")) for text in (TRAPS, TRAPS_CHANGED)]
    refusal = refused(tmp_path, "entry-size-unknown", TRAPS_SYMBOLS, *odd)
    shows(refusal, "entry-size-unknown")
    assert "--entry-size BUG=N" in refusal.remedy
    assert "__bug_table (struct bug_entry)" in refusal.found


def test_entry_sizes_show_in_the_relocations(tmp_path: Path) -> None:
    found = compared(tmp_path, TRAPS_SYMBOLS, compile_c(TRAPS), compile_c(TRAPS_CHANGED))
    assert found.sizes == {"__bug_table": 12}
    assert len(relocation_lines(found.path.read_bytes(), "__bug_table")) == 1


def test_given_entry_sizes_are_used(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        TRAPS_SYMBOLS,
        compile_c(TRAPS),
        compile_c(TRAPS_CHANGED),
        sizes={"__bug_table": 12, "__jump_table": 16},
    )
    assert found.sizes == {"__bug_table": 12}
    assert len(relocation_lines(found.path.read_bytes(), "__bug_table")) == 1


def test_a_wrong_entry_size_is_found_out(tmp_path: Path) -> None:
    arguments = (TRAPS_SYMBOLS, compile_c(TRAPS), compile_c(TRAPS_CHANGED))
    refused(tmp_path, "entry-malformed", *arguments, sizes={"__bug_table": 8})


def test_entry_sizes_are_read_from_debug_information(tmp_path: Path) -> None:
    found = compared(
        tmp_path, TRAPS_SYMBOLS, compile_c(TRAPS, "-g"), compile_c(TRAPS_CHANGED, "-g")
    )
    assert found.sizes == {"__bug_table": 12}
    assert not [
        name for name in tool("readelf", "-SW", found.path).split() if name.startswith(".debug")
    ]


def test_every_alias_is_a_section_with_a_size_of_the_kernels() -> None:
    known = structs(arch.of(MACHINE))
    assert sorted(aliases().values()) == sorted(known)
    assert set(SIZES) == set(known)


# --- input that is none

GARBAGE = {
    "empty": (b"", "kallsyms-malformed"),
    "text": (b"hello there\n", "kallsyms-malformed"),
    "zeroes": (
        listing("T hidden").replace(ADDRESS.encode() + b"0000", b"0" * 16),
        "kallsyms-malformed",
    ),
    "unsorted": (b"ffffffff81000002 T hidden\nffffffff81000001 T shown\n", "kallsyms-malformed"),
    "cut ELF": (b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00", "kallsyms-malformed"),
    "cut xz": (b"\xfd7zXZ\x00\x00", "kallsyms-malformed"),
    "another object": (b"ffffffff81000002 T hidden\t[mod]\n", "object-not-listed"),
    "a relocatable object": (compile_c(SOURCE), "object-not-listed"),
}


@pytest.mark.parametrize(("symbols", "code"), GARBAGE.values(), ids=GARBAGE)
def test_a_bad_list_of_symbols_is_refused(tmp_path: Path, symbols: bytes, code: str) -> None:
    refused(tmp_path, code, symbols)


def test_another_modules_file_is_refused(tmp_path: Path) -> None:
    module = compile_c(
        SOURCE
        + '\n__attribute__((section(".modinfo"), used)) static const char n[] = "name=other";'
    )
    assert "module other" in refused(tmp_path, "object-not-listed", module, objname="my_mod").found


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"text", image(compile_c(OTHER))])
def test_a_bad_object_is_refused(tmp_path: Path, data: bytes) -> None:
    for objects in ((data, compile_c(CHANGED)), (compile_c(SOURCE), data)):
        with pytest.raises(Refusal) as error:
            compared(tmp_path, SYMBOLS, *objects)
        assert error.value.code in ("object-malformed", "object-unsupported")


def test_equal_objects_are_refused(tmp_path: Path) -> None:
    refused(tmp_path, "no-code-change", SYMBOLS, compile_c(SOURCE), compile_c(SOURCE))


def test_a_missing_symbol_is_named(tmp_path: Path) -> None:
    refusal = refused(tmp_path, "symbol-not-found", SYMBOLS.replace(b" hidden", b" concealed"))
    assert refusal.where.endswith("before.o: hidden")


def test_assembly_without_fentry_is_refused(tmp_path: Path) -> None:
    text = '.section .text.shown,"ax"\n.globl shown\n.type shown, @function\n'
    text += "shown: mov ${}, %eax\nret\n.size shown, .-shown\n"
    refused(
        tmp_path,
        "function-not-traceable",
        SYMBOLS,
        assemble(text.format(1)),
        assemble(text.format(2)),
    )


# --- several source files linked into one object


def linked_module(*sources: str, files: tuple[str, ...] = ("one.c", "two.c")) -> bytes:
    return link(*(named(text, name) for text, name in zip(sources, files, strict=True)))


CHANGED_HELPER = SOURCE.replace('"helped"', '"HELPED"')


@pytest.mark.parametrize("first", [True, False])
def test_in_a_linked_module_the_namesake_of_the_changed_file_is_replaced(
    tmp_path: Path, first: bool
) -> None:
    before = linked_module(*((SOURCE, OTHER) if first else (OTHER, SOURCE)))
    after = linked_module(*((CHANGED_HELPER, OTHER) if first else (OTHER, CHANGED_HELPER)))
    found = compared(tmp_path, before, before, after, objname="my_mod")
    position = 1 if first else 2
    assert [(f.old_name, f.sympos) for f in found.functions] == [("helper", position)]
    assert undefined(found.path) == {
        "__fentry__",
        "my_mod:.klp.sym.my_mod.hidden,0",
        f"my_mod:.klp.sym.my_mod.state,{position}",
    }
    text = tool("objdump", "-s", "-j", ".rodata.str1.1", found.path)
    assert "HELPED" in text


def test_namesakes_in_files_of_one_name_and_another_order_are_refused(tmp_path: Path) -> None:
    before = linked_module(SOURCE, OTHER, files=("one.c", "same.c"))
    after = linked_module(OTHER, CHANGED_HELPER, files=("other.c", "another.c"))
    assert (
        "helper"
        in refused(tmp_path, "ambiguous-local", before, before, after, objname="my_mod").found
    )


COLD = r"""
extern void fatal(const char *) __attribute__((cold));
static __attribute__((noinline)) int risky(int x) { if (x == VALUE) fatal("TEXT"); return x + VALUE; }
int NAME(int x) { return risky(x); }
"""


def test_of_several_cold_parts_the_functions_own_goes_with_it(tmp_path: Path) -> None:
    def source(value: int, text: str, name: str) -> str:
        return COLD.replace("VALUE", str(value)).replace("TEXT", text).replace("NAME", name)

    one, two = source(3, "first", "first"), source(4, "second", "second")
    before, after = linked_module(one, two), linked_module(one, source(4, "changed", "second"))
    assert tool("nm", data=before).count(" risky.cold") == 2
    symvers = SYMVERS + "0x00000000\tfatal\tvmlinux\tEXPORT_SYMBOL\t\n"
    found = compared(tmp_path, before, before, after, objname="my_mod", symvers=symvers)
    assert [(f.old_name, f.sympos) for f in found.functions] == [("risky", 2)]
    strings = tool("strings", "-a", found.path)
    assert "changed" in strings
    assert "first" not in strings


def test_functions_that_share_one_section(tmp_path: Path) -> None:
    """Without -ffunction-sections: the assembler has resolved the call of a static function."""
    before, after = (compile_c(text, sections=False) for text in (SOURCE, CHANGED))
    found = compared(tmp_path, SYMBOLS, before, after)
    assert [f.old_name for f in found.functions] == ["shown"]
    lines = relocation_lines(found.path.read_bytes(), ".text.shown")
    assert any(".klp.sym.vmlinux.helper,0" in line for line in lines), lines


INIT = (
    SOURCE
    + '__attribute__((section(".init.text"))) int setup(int x) { return hidden("set up", x); }\n'
)


def test_a_changed_init_function_is_left_out_and_told(tmp_path: Path) -> None:
    symbols = listing("T hidden", "T exported", "t helper", "T shown", "d state", "T setup")
    before = compile_c(INIT)
    changed = INIT.replace('"set up"', '"settle"')
    found = compared(
        tmp_path, symbols, before, compile_c(changed.replace('("shown", x)', '("SHOWN", x)'))
    )
    assert [part.what for part in found.left_out] == ["setup() in .init.text"]
    assert [function.old_name for function in found.functions] == ["shown"]
    found.path.unlink()
    refused(tmp_path, "init-function-changed", symbols, before, compile_c(changed))


UNSIZED = """
    .section .text.both,"ax"
    .globl shown
    .type shown, @function
shown:
1:  call __fentry__
    mov $1, %eax
    ret
    .size shown, . - shown
    .p2align 4
    .globl unsized
    .type unsized, @function
unsized:
    mov $2, %eax
    call hidden
    ret
    .section __mcount_loc,"a"
    .quad 1b
"""


def test_changed_code_without_a_sized_symbol_is_not_passed_over(tmp_path: Path) -> None:
    symbols = listing("T hidden", "T shown", "T unsized")
    original, sized = assemble(UNSIZED), UNSIZED.replace("mov $1", "mov $3")
    assert [
        f.old_name for f in compared(tmp_path, symbols, original, assemble(sized)).functions
    ] == ["shown"]
    (tmp_path / "out.o").unlink()
    for old, new in (("mov $2", "mov $4"), ("call hidden", "call shown")):
        found = refused(
            tmp_path, "symbol-unsupported", symbols, original, assemble(sized.replace(old, new))
        )
        assert found.where.endswith("after.o: .text.both")


CLANG = shutil.which("clang") or shutil.which("clang-14")


@pytest.mark.skipif(CLANG is None, reason="no clang here")
def test_what_clang_makes_is_compared(tmp_path: Path) -> None:
    """Static locals are named after their function, and fentry calls are listed by objtool alone,
    here by hand."""
    text = SOURCE.replace(
        "return helper(x)", "static int calls; calls += x; return calls + helper(x)"
    )
    before, after = (
        clang(each, tmp_path) for each in (text, text.replace('("shown", x)', '("SHOWN", x)'))
    )
    symbols = SYMBOLS + f"{ADDRESS}0009 b shown.calls\n".encode()
    found = compared(tmp_path, symbols, before, after)
    assert [function.old_name for function in found.functions] == ["shown"]
    assert "vmlinux:.klp.sym.vmlinux.shown.calls,0" in undefined(found.path)


def clang(source: str, directory: Path) -> bytes:
    options = (
        "-O2",
        "-ffreestanding",
        "-mcmodel=kernel",
        "-fno-pic",
        "-mno-red-zone",
        "-fcf-protection=none",
    )
    more = (
        "-fno-addrsig",
        "-fno-asynchronous-unwind-tables",
        "-pg",
        "-mfentry",
        "-ffunction-sections",
        "-fdata-sections",
    )
    command = [str(CLANG), *options, *more, "-x", "c", "-S", "-o", "-", "-"]
    text = subprocess.run(
        command, input=source, capture_output=True, text=True, check=True, cwd=directory
    ).stdout
    listed = '1: call __fentry__\n.pushsection __mcount_loc,"a"\n.quad 1b\n.popsection'
    return assemble(re.sub(r"\bcallq?\s+__fentry__.*", listed, text))
