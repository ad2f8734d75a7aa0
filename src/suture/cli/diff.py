# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture diff``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli.output import Json, emit

if TYPE_CHECKING:
    from suture.builder.compare_objects import Compared

ALIASES = "ALT, BUG, EX, JUMP, STATIC_CALL, PARA"
"""`suture.objects.special.ALIASES`, which is not imported for help alone; a test holds them
together."""

EXAMPLES = (
    (
        "suture diff before.o after.o --object vmlinux --symbols System.map --symvers Module.symvers --name fix "
        "--entry-size BUG=12 --entry-size JUMP=16",
        "a file of the core kernel; the sizes are those of Linux 6.1",
    ),
    (
        "suture diff old/xfs.o new/xfs.o --object xfs --symbols xfs.ko --symvers Module.symvers --name fix -o out.o",
        "a whole module, linked before and after; sizes from its debug information",
    ),
)

UNPROVED = (
    "Not proved: without the shipped kernel, nothing shows that the original object is what runs there. "
    "'suture build' compares with it."
)


def diff(
    original: Annotated[
        Path,
        typer.Argument(
            metavar="ORIG.o", readable=False, help="The object compiled from the original source."
        ),
    ],
    patched: Annotated[
        Path,
        typer.Argument(
            metavar="PATCHED.o",
            readable=False,
            help="The same compiled in the same way with the patch.",
        ),
    ],
    objname: Annotated[
        str,
        typer.Option(
            "--object", metavar="OBJECT", help="What they are part of: vmlinux, or a module's name."
        ),
    ],
    symbols: Annotated[
        Path,
        typer.Option(
            "--symbols",
            metavar="FILE",
            readable=False,
            help="The object's symbols: its ELF file, a System.map, or a kallsyms listing.",
        ),
    ],
    symvers: Annotated[
        Path,
        typer.Option(
            "--symvers", metavar="FILE", readable=False, help="The kernel's Module.symvers."
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="The live patch's name.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.o",
            readable=False,
            help="Where to write it; by default NAME.o here.",
        ),
    ] = None,
    entry_size: Annotated[
        list[str] | None,
        typer.Option(
            "--entry-size",
            metavar="SECTION=N",
            help=f"Bytes of an entry of a special section, by the section's name or {ALIASES}; by default from BTF of "
            "the symbols' file or debug information of the objects.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compare two objects of one source file, and write what changed as an object that is ready to
    link.

    The comparison step of build alone, for objects of any x86-64 kernel. The new object has the
    changed and new functions with all that they need; what stays in the kernel is an undefined
    symbol, or one for the livepatch core to resolve. What the list of symbols leaves in doubt is
    refused by name. Nothing is proved, for there is no shipped kernel to compare with, and what
    build sees to when it links is left to who links: functions that threads never leave, callers of
    functions that cannot be hooked, and where the core finds the new code on stacks.
    """
    sizes = dict(_size(text) for text in entry_size or ())
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
    from suture.objects.special import ALIASES, STRUCTS

    section, _, number = text.partition("=")
    section = ALIASES.get(section.upper(), section)
    known = ", ".join((*ALIASES, *STRUCTS))
    if section not in STRUCTS:
        raise typer.BadParameter(f"--entry-size {text}: the section is one of {known}")
    if (
        not number.isascii()
        or not number.isdigit()
        or not 0 < int(number[:9]) == int(number) <= 4096
    ):
        raise typer.BadParameter(
            f"--entry-size {text}: the size is a number of bytes from 1 to 4096"
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
