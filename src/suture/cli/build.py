# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture build``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli import modules
from suture.cli.output import Json, emit
from suture.cli.target import KernelDir, Kernels, chosen_several
from suture.formats.recognise import Format

if TYPE_CHECKING:
    from suture.builder import Built
    from suture.formats.recognise import Input
    from suture.kernel.release import Target
    from suture.module.sign import Signer

EXAMPLES = (
    ("suture build fix.patch", "for the running kernel"),
    (
        "suture build fix.patch --kernel 6.1.0-50-amd64 -o fix.ko",
        "for another, under a name of your choice",
    ),
    (
        "suture build quirks.patch --patch-data quirk_table",
        "a table changes in memory while the patch is in force",
    ),
    ("suture build first.patch second.patch --name both", "two fixes as one cumulative live patch"),
    (
        "suture build kgr_fix.c",
        "a module that was written for kGraft, or for the kernel's livepatch, unchanged",
    ),
    (
        "suture build fix.patch --sign-key suture.key --sign-certificate suture.pem",
        "signed, for Secure Boot",
    ),
    (
        "suture build fix.livepatch --kernel 6.1.0-50-amd64 --kernel 6.1.0-56-amd64",
        "a written one, for two kernels",
    ),
)


def build(
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            readable=False,
            help="Unified diffs against the target's source, in order, also with kpatch's or Ksplice's macros; a "
            "kGraft or livepatch module, as a C file or a directory; what 'suture convert' wrote; a module for "
            "kpatch's own core.",
        ),
    ],
    kernel: Kernels = None,
    kernel_dir: KernelDir = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.ko",
            readable=False,
            help="Where to write it; by default NAME.ko here. For several kernels, a directory.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            help="The module's name; by default livepatch_ and the first patch file's name.",
        ),
    ] = None,
    replace: Annotated[
        bool | None,
        typer.Option(
            "--replace/--no-replace",
            help="Replace all live patches loaded before it (the default), or stack on top of them.",
        ),
    ] = None,
    format: Annotated[
        Format | None,
        typer.Option(
            "--format", help="What the inputs are; by default found out from their contents."
        ),
    ] = None,
    strip_level: Annotated[
        int | None,
        typer.Option("--strip-level", min=0, help="As patch -p; by default found out."),
    ] = None,
    caller_depth: Annotated[
        int | None,
        typer.Option(
            "--caller-depth",
            min=0,
            help="Where a changed function has no fentry call, replace its callers, up to so many in a row; 3 by "
            "default.",
        ),
    ] = None,
    caller_limit: Annotated[
        int | None,
        typer.Option(
            "--caller-limit",
            min=1,
            help="Replace at most so many callers for that reason; 32 by default.",
        ),
    ] = None,
    patch_data: Annotated[
        list[str] | None,
        typer.Option(
            "--patch-data",
            metavar="NAME",
            help="Change this variable in memory too, for as long as the patch is in force; can be given again.",
        ),
    ] = None,
    keep_data: Annotated[
        list[str] | None,
        typer.Option(
            "--keep-data",
            metavar="NAME",
            help="Leave this variable as it is in memory, though the patch changes its initial value; can be given "
            "again.",
        ),
    ] = None,
    replace_thread: Annotated[
        list[str] | None,
        typer.Option(
            "--replace-thread",
            metavar="NAME",
            help="Replace this main function of a kernel thread: none runs when the patch comes or goes; can be "
            "given again.",
        ),
    ] = None,
    sign_key: Annotated[
        str | None,
        typer.Option(
            "--sign-key",
            metavar="KEY",
            help="Sign it: a private key in PEM form, or a pkcs11: URI.",
        ),
    ] = None,
    sign_certificate: Annotated[
        Path | None,
        typer.Option(
            "--sign-certificate",
            metavar="FILE",
            readable=False,
            help="That key's certificate, PEM or DER.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Turn source diffs, or a kGraft or livepatch module's source, into a live patch module.

    Of diffs, only the files that they touch are compiled, before and after; what changed is cut
    out; every function that is replaced is proved to be, byte for byte, the one in the shipped
    kernel. Of a module, the functions that it replaces are checked as far as can be without
    unpatched source. What cannot be a live patch is refused, with the reason and the way out.
    """
    from suture.builder import build as build_module
    from suture.builder.cmodules import build_modules
    from suture.builder.inputs import Choices
    from suture.formats.recognise import MODULES, recognise
    from suture.module.sign import sign_file

    signer = _signer(sign_key, sign_certificate)
    if (
        len(inputs) == 1
        and inputs[0].is_dir()
        and replace is None
        and not (patch_data or keep_data or replace_thread)
    ):
        given = recognise(inputs[0], format, strip_level)
        if given.format in MODULES:  # its Makefile may list several
            made = [
                one
                for target in chosen_several(kernel, kernel_dir)
                for one in build_modules(given, target, output=output, name=name)
            ]
            if signer is not None:
                for one in made:
                    sign_file(one.path, signer)
            emit(
                {"modules": [modules.document(one) for one in made]},
                lambda: "\n".join(map(modules.for_people, made)),
            )
            return

    choices = Choices(
        frozenset(patch_data or ()),
        frozenset(keep_data or ()),
        frozenset(replace_thread or ()),
        caller_depth,
        caller_limit,
    )

    def make(target: Target, file: Path | None, directory: Path) -> Built:
        built = build_module(
            inputs,
            target,
            output=file,
            directory=directory,
            name=name,
            replace=replace,
            format=format,
            strip=strip_level,
            choices=choices,
        )
        if signer is not None:
            sign_file(built.path, signer)
        return built

    targets = chosen_several(kernel, kernel_dir)
    if len(targets) == 1:
        built = make(targets[0], output, Path())
        emit(document(built), lambda: for_people(built))
        return
    several = [make(target, None, (output or Path()) / target.release) for target in targets]
    emit(
        {"modules": [document(one) for one in several]},
        lambda: "\n".join(for_people(one) for one in several),
    )


def _signer(key: str | None, certificate: Path | None) -> Signer | None:
    """Who is to sign; that they can is shown before anything is built."""
    from suture.module.sign import Signer, sign

    if (key is None) != (certificate is None):
        raise typer.BadParameter("--sign-key and --sign-certificate belong together")
    if key is None or certificate is None:
        return None
    signer = Signer(key, certificate)
    sign(b"", key, signer)
    return signer


def document(built: Built) -> dict[str, object]:
    """The result for ``--json``."""
    return {
        "module": str(built.path),
        "name": built.patch.name,
        "release": built.target.release,
        "inputs": built.inputs,
        "replace": built.patch.replace,
        "objects": built.patch.objects,
        "shadow_variables": [one.id for one in built.patch.shadow_variables],
        "references": built.patch.references,
        "new": [{"source": source, "function": function} for source, function in built.new],
        "left_out": built.left_out,
        "because": built.callers,
        "data": built.data,
        "checked": modules.checked(built.checked),
        "calls": [
            {
                "object": one.objname,
                "source": one.source,
                "function": one.function,
                "section": one.stage.section,
                "callback": one.stage.kind,
            }
            for one in built.calls
        ],
    }


def for_people(built: Built) -> str:
    lines = [f"{built.path} is a live patch for {built.target.release}."]
    lines += [
        f"  from     {one}: {one.format.value}; {one.why}"
        for one in built.inputs
        if _is_worth_saying(one)
    ]
    calls = {(one.objname, one.function): one.calls for one in built.callers}
    unproved = {(one.objname, one.function, one.sympos) for one in built.checked}
    for patched in built.patch.objects:
        for function in patched.functions:
            if (patched.name, function.old_name, function.sympos) in unproved:
                continue
            position = f" (sympos {function.sympos})" if function.sympos else ""
            lines.append(
                f"  replaces {patched.name}: {function.old_name}(){position}, proved equal to the shipped one"
            )
            called = calls.get((patched.name, function.old_name))
            if called is not None:
                lines[-1] += f"; it calls {called}(), which has no fentry call"
    lines += modules.lines(built.checked)
    lines += [f"  adds     {source}: {function}()" for source, function in built.new]
    lines += [f"  leaves out {part.source}: {part.what}: {part.why}" for part in built.left_out]
    lines += [f"  calls    {one.source}: {one.function}(), {one.stage.when}" for one in built.calls]
    lines += [f"  attaches shadow variable {one}" for one in built.patch.shadow_variables]
    for variable in built.data:
        what = f"{variable.name} ({variable.size} bytes)"
        lines.append(f"  changes  {variable.objname}: {what}, proved equal to the shipped one")
    return "\n".join(lines)


def _is_worth_saying(one: Input) -> bool:
    """A plain diff is what most inputs are, and nothing in it had to be interpreted."""
    return one.format is not Format.DIFF
