# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture diff``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, argument, command, option
from suture.cli.output import emit, json_option

if TYPE_CHECKING:
    from suture.builder.compare_objects import Compared

ALIASES = "BUG, EX, JUMP, STATIC_CALL, ALT, PARA"
"""What `suture.objects.special.aliases` gives, which help must not import; a test compares them."""

EXAMPLES = (
    (
        "suture diff before.o after.o --object vmlinux --symbols System.map "
        "--symvers Module.symvers --name fix --entry-size BUG=12 --entry-size JUMP=16",
        "compare one file of the core kernel, with the entry sizes of Linux 6.1",
    ),
    (
        "suture diff old/xfs.o new/xfs.o --object xfs --symbols xfs.ko "
        "--symvers Module.symvers --name fix -o out.o",
        "compare a whole linked module, with entry sizes from its debug information",
    ),
)

UNPROVED = (
    "Not proved: without the shipped kernel, nothing shows that it runs the original object's "
    "code. 'suture build' compares the two."
)


@command("diff", examples=EXAMPLES)
@argument(
    "original", metavar="ORIG.o", type=PATH, help="The object compiled from the original source."
)
@argument(
    "patched",
    metavar="PATCHED.o",
    type=PATH,
    help="The object compiled the same way from the patched source.",
)
@option(
    "--object",
    "objname",
    metavar="OBJECT",
    required=True,
    help="vmlinux, or the name of the module they belong to.",
)
@option(
    "--symbols",
    metavar="FILE",
    type=PATH,
    required=True,
    help="The symbols of OBJECT: its ELF file, a System.map, or a kallsyms listing.",
)
@option("--symvers", metavar="FILE", type=PATH, required=True, help="The kernel's Module.symvers.")
@option("--name", metavar="NAME", required=True, help="The live patch's name.")
@option(
    "--output",
    "-o",
    metavar="OUT.o",
    type=PATH,
    help="The output file; by default NAME.o in the current directory.",
)
@option(
    "--entry-size",
    metavar="SECTION=N",
    multiple=True,
    help=f"Bytes per entry of a special section, named in full or as {ALIASES}; by default "
    "from BTF in the symbols file, the objects' debug information, or their relocations.",
)
@json_option
def diff(
    original: Path,
    patched: Path,
    objname: str,
    symbols: Path,
    symvers: Path,
    name: str,
    output: Path | None,
    entry_size: tuple[str, ...],
) -> None:
    """Compare two objects built from one source file, and write what changed as an object that is
    ready to link.

    This is the comparison step of 'suture build' alone, for the objects of any kernel. The
    output object contains the changed and new functions with everything they need. A reference to
    the kernel becomes an undefined symbol or one that the livepatch core resolves. Suture refuses
    symbols that the listing leaves ambiguous.

    Without the shipped kernel, this proves nothing. It also omits the checks that 'suture build'
    makes: functions that threads never leave, callers of functions without a fentry call, and
    whether the core finds the new code on stacks.
    """
    sizes = dict(_size(text) for text in entry_size)
    from suture.builder.compare_objects import compare_objects

    compared = compare_objects(
        original,
        patched,
        objname=objname,
        symbols=symbols,
        exports=symvers,
        name=name,
        output=output,
        sizes=sizes,
    )
    emit(document(compared), lambda: for_people(compared))


def _size(text: str) -> tuple[str, int]:
    from suture.objects.special import aliases

    section, _, number = text.partition("=")
    short = aliases()
    section = short.get(section.upper(), section)
    known = ", ".join((*short, *short.values()))
    if section not in short.values():
        raise click.BadParameter(f"--entry-size {text}: the section must be one of {known}")
    if (
        not number.isascii()
        or not number.isdigit()
        or not 0 < int(number[:9]) == int(number) <= 4096
    ):
        raise click.BadParameter(
            f"--entry-size {text}: the size must be a number of bytes from 1 to 4096"
        )
    return section, int(number)


def document(compared: Compared) -> dict[str, object]:
    """The result for ``--json``."""
    from suture.diff.output import Linked

    return {
        "output": str(compared.path),
        "name": compared.name,
        "object": compared.output.objname,
        "functions": compared.functions,
        "new": compared.output.new,
        "outside": [
            {"symbol": symbol, "linked": outside.name}
            if isinstance(outside, Linked)
            else {
                "symbol": symbol,
                "objname": outside.objname,
                "name": outside.name,
                "sympos": outside.sympos,
            }
            for symbol, outside in sorted(compared.output.outside.items())
        ],
        "left_out": compared.left_out,
        "entry_sizes": dict(compared.sizes),
        "proved": False,
    }


def for_people(compared: Compared) -> str:
    """The result for people."""
    from suture.diff.output import Linked

    objname = compared.output.objname
    lines = [
        f"{compared.path} holds what changes in {objname}, for the live patch {compared.name}."
    ]
    for function in compared.functions:
        position = f" (sympos {function.sympos})" if function.sympos else ""
        lines.append(f"  replaces {function.old_name}(){position}")
    lines += [f"  adds     {function}()" for function in compared.output.new]
    lines += [f"  leaves out {part.what}: {part.why}" for part in compared.left_out]
    for _, outside in sorted(compared.output.outside.items()):
        lines.append(
            f"  links    {outside.name}" if isinstance(outside, Linked) else f"  reaches  {outside}"
        )
    return "\n".join([*lines, UNPROVED])
