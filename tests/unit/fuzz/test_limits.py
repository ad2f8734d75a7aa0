# SPDX-License-Identifier: GPL-2.0-or-later
"""A small file does not cost much: one megabyte, made to be expensive, is read or refused within
fixed resources.

Each file is read in a process of its own that the kernel ends when it goes beyond them
(setrlimit(2)).  The processor time is many times what is needed, so that a slow machine makes no
difference; what it would catch takes minutes.
"""

from __future__ import annotations

import gzip
import os
import resource
import struct
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.elf import writer
from suture.elf.object import ObjectFile, Relocation, Section, Symbol
from suture.errors import Refusal
from tests.unit.conftest import bzimage
from tests.unit.fuzz.subjects import SUBJECTS, live_patches, objects
from tests.unit.link.module import glue
from tests.unit.toolchain import MACHINE, compile_c, link

MEMORY = 500 << 20
"""Bytes more than there were before."""
PROCESSOR = 60
"""Seconds."""
SIZE = 1 << 20

CODE, DATA, STRINGS, BSS = 1, 2, 3, 4
NULL = Symbol("", 0, 0, 0, 0, 0)


def made(
    symbols: list[Symbol], relocations: dict[int, list[Relocation]], *, code: bytes = b"\x90" * 4096
) -> bytes:
    sections = (
        Section("", 0, 0, b"", 0),
        Section(".text.entry", 1, 6, code, len(code), 16),
        Section(".data.things", 1, 3, bytes(1 << 18), 1 << 18, 16),
        Section(".rodata.str1.1", 1, 0x32, b"x" * (SIZE // 2), SIZE // 2, 1, entsize=1),
        Section(".bss.room", 8, 3, b"", 1 << 27, 16),
    )
    table = {
        section: tuple(sorted(found, key=lambda one: one.offset))
        for section, found in relocations.items()
    }
    return writer.write(ObjectFile("made.o", sections, (NULL, *symbols), table, machine=MACHINE))


def symbols_for_the_same_code() -> bytes:
    code = b"\xe8\0\0\0\0" * 80_000
    return made(
        [Symbol(f"f{n}", 5 * n, len(code) - 5 * n, 2, 0, CODE) for n in range(15_000)],
        {},
        code=code,
    )


def strings_without_end() -> bytes:
    section = Symbol("", 0, 0, 3, 0, STRINGS)
    entry = Symbol("entry", 0, 80_000, 1, 0, DATA)
    pointers = [Relocation(8 * n, 1, 1, n) for n in range(10_000)]
    return made([section, entry], {DATA: pointers})


def data_that_leads_to_data() -> bytes:
    names = [Symbol(f"__func__.{n}", 16 * n, 16, 1, 0, DATA) for n in range(700)]
    chain = [Relocation(16 * n, 1, n + 2, 0) for n in range(699)]
    entry = Symbol("entry", 0, 4096, 2, 1, CODE)
    return made([*names, entry], {DATA: chain, CODE: [Relocation(1, 2, 1, -4)]})


def data_without_contents() -> bytes:
    return made([Symbol("room", 0, 1 << 27, 1, 1, BSS), Symbol("entry", 0, 4096, 2, 1, CODE)], {})


def many_units_and_references() -> bytes:
    units = [
        Symbol("all", 0, 1 << 18, 1, 0, DATA),
        *(Symbol(f"d{n}", 16 * n, 8, 1, 0, DATA) for n in range(10_000)),
    ]
    section = Symbol("", 0, 0, 3, 0, DATA)
    return made(
        [section, *units], {DATA: [Relocation(16 * n, 1, 1, 16 * n + 12) for n in range(10_000)]}
    )


def header(data: bytes, number: int, **fields: int) -> bytes:
    """:param fields: of a section header, by elf(5)'s names without ``sh_``."""
    places = {
        "type": (4, "<I"),
        "offset": (24, "<Q"),
        "size": (32, "<Q"),
        "link": (40, "<I"),
        "info": (44, "<I"),
    }
    places |= {"addralign": (48, "<Q"), "entsize": (56, "<Q")}
    (table,) = struct.unpack_from("<Q", data, 40)
    changed = bytearray(data)
    for name, value in fields.items():
        offset, layout = places[name]
        struct.pack_into(layout, changed, table + 64 * number + offset, value)
    return bytes(changed)


def huge_alignments() -> bytes:
    data = made([], {})
    for number in range(1, 5):
        data = header(data, number, addralign=1 << 30)
    return data


def names_without_end() -> bytes:
    """Twenty thousand symbols, each with a name of half a megabyte."""
    good = made([Symbol(f"{n:05}", 0, 0, 0, 1, 0xFFF1) for n in range(20_000)], {})
    count = struct.unpack_from("<H", good, 60)[0]
    (shoff,) = struct.unpack_from("<Q", good, 40)
    data = bytearray(good)
    for number in range(count):
        (kind,) = struct.unpack_from("<I", good, shoff + 64 * number + 4)
        start, size = struct.unpack_from("<QQ", good, shoff + 64 * number + 24)
        if kind == 3 and size > 100_000:
            data[start + 1 : start + size - 1] = b"n" * (size - 2)
    return bytes(data)


def many_functions() -> bytes:
    functions = "".join(f'{{ "f{n}", new_show, 0 }}, ' for n in range(1500))
    text = f"static int new_show(void) {{ return 1; }}\nstatic struct klp_func funcs[] = {{ {functions} {{ }} }};\n"
    text += f"static struct klp_object objs[] = {{ {'{ .funcs = funcs }, ' * 1500} {{ }} }};\n"
    return link(compile_c(glue(text), sections=False))


def zstd_of_zeros() -> bytes:
    """RFC 8878: a frame with a window of 2 MiB and blocks of one byte that stands for 128 KiB."""
    block = struct.pack("<I", 1 << 17 << 3 | 1 << 1)[:3] + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * (SIZE // 4)


def gzip_of_zeros() -> bytes:
    return gzip.compress(bytes(700 << 20), compresslevel=1)


FILES: tuple[tuple[str, str, Callable[[], bytes]], ...] = (
    ("object", "symbols for the same code", symbols_for_the_same_code),
    ("object", "strings without end", strings_without_end),
    ("object", "data that leads to data", data_that_leads_to_data),
    ("object", "data without contents", data_without_contents),
    ("object", "many units and references", many_units_and_references),
    ("object", "huge alignments", huge_alignments),
    ("object", "names without end", names_without_end),
    ("module", "names without end", names_without_end),
    ("module", "huge alignments", huge_alignments),
    ("module", "many units and references", many_units_and_references),
    ("module", "many functions", many_functions),
    ("vmlinux", "names without end", names_without_end),
    ("packed module", "zstd of zeros", zstd_of_zeros),
    ("packed module", "gzip of zeros", gzip_of_zeros),
    ("boot image", "zstd of zeros", lambda: bzimage(zstd_of_zeros() + b"\xff\xff\xff\x7f")),
    (
        "boot image",
        "lzma with a window of 4 GiB",
        lambda: bzimage(b"\x5d\0\0\0\xff" + b"\xff" * 8 + b"\0" * 500),
    ),
    (
        "kernel log",
        "a line that could be many complaints",
        lambda: b"disagrees about " * (SIZE // 16),
    ),
    ("kernel log", "complaints", lambda: b"BUG: x\nno end\n" * (SIZE // 14)),
    ("patch", "files", lambda: b"--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-a\n+b\n" * (SIZE // 46)),
    (
        "patch",
        "one long line",
        lambda: b"--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-a\n+" + b"/" * SIZE + b"\n",
    ),
    ("kallsyms", "one address", lambda: b"ffffffff81000000 t same\n" * (SIZE // 24)),
    (
        "symvers",
        "numbers without end",
        lambda: b"0x" + b"f" * SIZE + b"\ta\tvmlinux\tEXPORT_SYMBOL\t\n",
    ),
    ("config", "one option", lambda: b"CONFIG_A=y\n" * (SIZE // 11)),
    (
        "saved command",
        "quotes",
        lambda: b"savedcmd_x := " + b"'a' " * (SIZE // 4) + b"\nsource_x := x\ndeps_x := \\\n",
    ),
    (
        "include lines",
        "names that are not known",
        lambda: b"".join(b"fs/%d.c:#include M\n" % n for n in range(40_000)),
    ),
    (
        "btf",
        "types",
        lambda: (
            struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, SIZE, SIZE, 9)
            + bytes(SIZE)
            + b"\0alt_instr"
        ),
    ),
)


@pytest.mark.parametrize(
    ("subject", "name", "make"), FILES, ids=[f"{subject}: {name}" for subject, name, _ in FILES]
)
def test_an_expensive_file_stays_cheap(subject: str, name: str, make: Callable[[], bytes]) -> None:
    use = next(one.use for one in SUBJECTS if one.name == subject)
    _ = objects(), live_patches()  # compiled here, not in each child
    data = make()
    assert len(data) < 2 * SIZE or name == "gzip of zeros"
    assert ended(lambda: use(data)) == 0


def test_the_limits_are_kept() -> None:
    assert ended(lambda: bytearray(2 * MEMORY)) != 0


def ended(call: Callable[[], object]) -> int:
    """The status of a process that makes a call within the limits: 0 where it returns or is
    refused."""
    child = os.fork()
    if not child:
        status = 1
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)
            resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR,) * 2)
            try:
                call()
            except Refusal as refusal:
                str(refusal)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
