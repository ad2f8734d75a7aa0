# SPDX-License-Identifier: GPL-2.0-or-later
"""C and assembly text -> objects as the kernel's build makes them, for the tests of what is done to
objects."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from collections.abc import Collection
from functools import cache
from pathlib import Path

from bench.generate import SIZES as SIZES  # as a target would say them
from suture.arch.x86_64 import X86_64
from suture.diff.changes import Changes, compare
from suture.diff.comparison import Side
from suture.diff.cut_out import cut_out
from suture.diff.output import Linked, ModuleKeys, OutputObject, Outside, Resolver
from suture.diff.plan import FilePlan
from suture.elf import reader, writer
from suture.elf.object import ObjectFile
from suture.objects.special import Entries
from suture.objects.view import Unit, View

MACHINE = X86_64.machine
"""What gcc compiles for here."""

KERNEL = (
    *(
        "-O2",
        "-ffreestanding",
        "-mcmodel=kernel",
        "-fno-pic",
        "-fno-PIE",
        "-mno-red-zone",
        "-mno-sse",
    ),
    *(
        "-fno-asynchronous-unwind-tables",
        "-fno-strict-aliasing",
        "-fno-common",
        "-fcf-protection=none",
    ),
    *(
        "-pg",
        "-mfentry",
        "-mrecord-mcount",
        "-fno-jump-tables",
        "-falign-jumps=1",
        "-falign-loops=1",
    ),
    "-fno-stack-protector",
)
"""What matters of the options that arch/x86/Makefile and the top Makefile give."""

SECTIONS = ("-ffunction-sections", "-fdata-sections")


@cache
def compile_c(source: str, *options: str, sections: bool = True) -> bytes:
    """An object; equal source is compiled once."""
    return _run_gcc(source, ".c", (*KERNEL, *(SECTIONS if sections else ()), *options))


@cache
def assemble(source: str, *options: str) -> bytes:
    return _run_gcc(source, ".s", options)


def _run_gcc(source: str, suffix: str, options: tuple[str, ...]) -> bytes:
    with tempfile.TemporaryDirectory() as made:
        name = hashlib.sha256(source.encode()).hexdigest()[:8]
        written = Path(made, f"{name}{suffix}")
        written.write_text(source)
        # The name of the file would be a symbol that tells both sides apart.
        command = [
            "gcc",
            *options,
            "-x",
            "assembler" if suffix == ".s" else "c",
            "-c",
            "-o",
            "out.o",
            "-",
        ]
        done = subprocess.run(
            command, cwd=made, input=source, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return Path(made, "out.o").read_bytes()


def read(data: bytes, name: str = "test.c") -> ObjectFile:
    return reader.read(data, name)


def view(source: str, *options: str) -> View:
    return View(read(compile_c(source, *options)))


def side(data: bytes) -> Side:
    read_view = View(read(data))
    return Side(read_view, Entries(read_view, SIZES))


def changes(original: str, patched: str, *options: str) -> Changes:
    """Compile and compare two versions of a source file."""
    return compare(side(compile_c(original, *options)), side(compile_c(patched, *options)))


class Anything:
    """A resolver that finds everything outside, and remembers what it was asked for.

    What the kernel defines in the same file keeps its name, as `Linked`.

    :param provided: names that are new in the live patch.
    """

    def __init__(self, provided: Collection[str] = ()) -> None:
        self._provided = provided
        self.defined_asked: list[str] = []
        self.undefined_asked: list[str] = []

    def defined(self, unit: Unit) -> Outside:
        self.defined_asked.append(unit.name)
        return Linked(f"kernel_{unit.name}")

    def undefined(self, name: str) -> Outside:
        self.undefined_asked.append(name)
        return Linked(name, is_new=name in self._provided)

    find_defined, find_undefined = defined, undefined


def output(original: str, patched: str, *options: str) -> OutputObject:
    """Compile, compare and cut out what changed."""
    return select_with(changes(original, patched, *options), Anything())


def select_with(
    found: Changes | FilePlan, resolver: Resolver, objname: str = "vmlinux"
) -> OutputObject:
    """Cut out what differs, or what a plan says."""
    plan = found if isinstance(found, FilePlan) else FilePlan.of(found)
    output = cut_out(plan, objname, resolver)
    if isinstance(output, ModuleKeys):
        raise output.refusal()
    return output


def changed_names(found: Changes) -> set[str]:
    return {after.name for _, after in found.changed}


def tool(*words: str | Path, data: bytes | None = None) -> str:
    """The output of a binutils program; `data` becomes the file that the last word would name."""
    with tempfile.TemporaryDirectory() as made:
        command = [str(word) for word in words]
        if data is not None:
            Path(made, "it.o").write_bytes(data)
            command.append("it.o")
        done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
        assert "arning" not in done.stderr, (command, done.stderr)
        return done.stdout


def link(*objects: bytes, options: tuple[str, ...] = ("-r",)) -> bytes:
    """What ld makes of objects."""
    with tempfile.TemporaryDirectory() as made:
        names = []
        for number, data in enumerate(objects):
            names.append(f"{number}.o")
            Path(made, names[-1]).write_bytes(data)
        done = subprocess.run(
            ["ld", *options, "-o", "linked", *names],
            cwd=made,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Path(made, "linked").read_bytes()


def disassembly(obj: bytes | ObjectFile, function: str) -> list[str]:
    """objdump's instructions and relocations of one function, without addresses.

    A variable's section counts as the variable; where other sections are referred to, the offset
    depends on what else is in them, and is left out.
    """
    data = obj if isinstance(obj, bytes) else writer.write(obj)
    text = tool("objdump", "-dr", "--no-show-raw-insn", f"--disassemble={function}", data=data)
    body = text.split(f"<{function}>:\n", 1)[1].split("\n\n", 1)[0]
    lines = []
    for line in body.splitlines():
        plain = re.sub(r"\b[0-9a-f]+ <", "<", re.sub(r"^\s*[0-9a-f]+:\s*", "", line))
        plain = re.sub(r"<\S+>", "<>", re.sub(r"R_X86_64_P(C|LT)32", "R_X86_64_PC32", plain))
        plain = re.sub(r"(R_X86_64_\w+)\s+\.\S*(str|cst)\d\S*", r"\1 LITERAL", plain)
        plain = re.sub(r"\.text\.unlikely\.(\w+)", r"\1.cold", plain)
        plain = re.sub(r"(R_X86_64_\w+)\s+(?:kernel_|\.(?:text|data|bss|rodata)\.)?", r"\1 ", plain)
        lines.append(re.sub(r"(R_X86_64_\w+) \.\S+", r"\1 SECTION", plain))
    return lines


def symbol_lines(obj: bytes | ObjectFile) -> dict[str, list[str]]:
    """readelf's symbol table: name -> its columns (value, size, type, bind, visibility, section
    index)."""
    data = obj if isinstance(obj, bytes) else writer.write(obj)
    found = {}
    for line in tool("readelf", "-sW", data=data).splitlines():
        columns = line.split()
        if len(columns) >= 8 and columns[0].rstrip(":").isdigit():
            found[" ".join(columns[7:])] = columns[1:7]
    return found


def section_lines(obj: bytes | ObjectFile) -> list[tuple[str, str, int, str]]:
    """readelf's section headers: name, type, size, flags."""
    data = obj if isinstance(obj, bytes) else writer.write(obj)
    pattern = re.compile(
        r"^\s*\[ *\d+\] (\S+)\s+(\S+)\s+[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+) [0-9a-f]+\s+([A-Zop]*)\s+\d"
    )
    matches = (pattern.match(line) for line in tool("readelf", "-SW", data=data).splitlines())
    return [(match[1], match[2], int(match[3], 16), match[4]) for match in matches if match]


def relocation_lines(obj: bytes | ObjectFile, section: str) -> list[str]:
    """readelf's relocations of one section, as ``offset type symbol+addend``."""
    data = obj if isinstance(obj, bytes) else writer.write(obj)
    text = tool("readelf", "-rW", data=data)
    found: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.startswith("Relocation section"):
            inside = f"'.rela{section}'" in line or f"'{section}'" in line
        elif inside and " R_X86_64" in line:
            columns = line.split()
            found.append(" ".join([columns[0].lstrip("0") or "0", columns[2], *columns[4:]]))
    return found
