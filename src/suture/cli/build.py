# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture build``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli import completion, modules
from suture.cli.commands import PATH, Number, argument, command, option
from suture.cli.decisions import Decided, author_options
from suture.cli.input_options import format_option, git_option, strip_level_option
from suture.cli.option_parts import OptionPart
from suture.cli.output import emit, json_option
from suture.cli.reports import BuildReports, report_option
from suture.cli.target import chosen_several, fetch_option, kernel_dir_option, kernels_option
from suture.formats.recognise import Format

if TYPE_CHECKING:
    from suture.builder.artifact import Artifact
    from suture.formats.recognise import Input
    from suture.kernel.release import Target
    from suture.module.sign import Signer

EXAMPLES = (
    ("suture build fix.patch", "build for the running kernel"),
    (
        "suture build fix.patch --kernel 6.1.0-50-amd64 -o fix.ko",
        "build for another kernel and choose the file name",
    ),
    (
        "git show 1da177e4c3f4 | suture build -",
        "build a commit, or any diff that another command gives",
    ),
    (
        "suture build --git ~/linux v6.1.4..fix net/sched",
        "build the commits of a range, as far as they change net/sched",
    ),
    (
        "suture build quirks.patch --patch-data quirk_table",
        "also change a table in memory while the patch is in force",
    ),
    (
        "suture build first.patch second.patch --name both",
        "combine two fixes into one cumulative live patch",
    ),
    (
        "suture build kgr_fix.c",
        "build a module written for kGraft or the kernel's livepatch, unchanged",
    ),
    (
        "suture build kernel-livepatch --only bsc1247158",
        "build one fix of a directory as SUSE publishes it",
    ),
    (
        "suture build fix.patch --sign-key suture.key --sign-certificate suture.pem",
        "sign the module, for Secure Boot",
    ),
    (
        "suture build fix.livepatch --kernel '6.1.*-amd64' --fetch -o modules",
        "build a written live patch for all kernels of a series, and show what became of each",
    ),
    (
        "suture build fix.patch --report fix.html",
        "write what changes, the proof and all findings as a page for reviewers",
    ),
)


@command("build", examples=EXAMPLES)
@argument(
    "inputs",
    metavar="INPUT...",
    nargs=-1,
    required=True,
    shell_complete=completion.inputs,
    help="Unified diffs against the target's source, in order, optionally with kpatch or "
    "Ksplice macros: files, a directory with a series, '-' for standard input, web "
    "addresses; a kGraft or livepatch module (C file or directory); output of "
    "'suture convert'; a module for kpatch's own core. With --git: a commit or a range "
    "A..B, and paths that limit it.",
)
@kernels_option
@kernel_dir_option
@fetch_option
@option(
    "--output",
    "-o",
    metavar="OUT.ko",
    type=PATH,
    help="The output file; by default NAME.ko in the current directory. For several "
    "kernels, a directory.",
    panel=OptionPart.OUTPUT,
)
@option(
    "--name",
    metavar="NAME",
    help="The module's name; by default livepatch_ and the first patch's title or file name.",
    panel=OptionPart.OUTPUT,
)
@option(
    "--replace/--no-replace",
    default=None,
    help="Replace all live patches loaded earlier (the default), or stack on them.",
    panel=OptionPart.OUTPUT,
)
@format_option
@strip_level_option
@git_option
@option(
    "--fuzz",
    metavar="LINES",
    type=Number(min=0, max=3),
    default=0,
    help="Let this many context lines of a hunk differ, as patch -F does. What the patch "
    "then changes is shown; look at it.",
    panel=OptionPart.INPUT,
)
@option(
    "--3way",
    "three_way",
    is_flag=True,
    help="With --git: carry a commit that does not fit over to the target's source by a "
    "three-way merge, as git cherry-pick does. What it then changes is shown; look at it.",
    panel=OptionPart.INPUT,
)
@author_options
@option(
    "--sign-key",
    metavar="KEY",
    help="Sign the module with this private key: a PEM file or a pkcs11: URI.",
    panel=OptionPart.SIGNATURE,
)
@option(
    "--sign-certificate",
    metavar="FILE",
    type=PATH,
    help="The key's certificate, PEM or DER.",
    panel=OptionPart.SIGNATURE,
)
@report_option
@json_option
def build(
    inputs: tuple[str, ...],
    kernel: tuple[str, ...],
    kernel_dir: Path | None,
    fetch: bool,
    output: Path | None,
    name: str | None,
    replace: bool | None,
    format: Format | None,
    strip_level: int | None,
    git: Path | None,
    fuzz: int,
    three_way: bool,
    decided: Decided,
    sign_key: str | None,
    sign_certificate: Path | None,
    report: Path | None,
) -> None:
    """Build a live patch module from source diffs or from the source of a kGraft or livepatch
    module.

    For diffs, Suture compiles only the files that they touch, before and after; extracts what
    changed; and proves that each replaced function is, byte for byte, the one in the shipped
    kernel. For a module, it checks the functions that the module replaces as far as it can without
    unpatched source. If the fixes in a directory of SUSE's do not all fit, it says which do. It
    refuses what cannot be a live patch, with the reason and a remedy.
    """
    from suture.builder import build_all
    from suture.builder.given import STANDARD
    from suture.host.pipes import standard_input

    signer = _signer(sign_key, sign_certificate)
    choices = decided.choices(fuzz=fuzz, three_way=three_way)
    if three_way and git is None:
        raise click.BadParameter("--3way needs --git, where the files before the commit are")

    def make(target: Target, file: Path | None, directory: Path) -> tuple[Artifact, ...]:
        artifacts = build_all(
            inputs,
            target,
            git=git,
            output=file,
            directory=directory,
            name=name,
            replace=replace,
            format=format,
            strip=strip_level,
            choices=choices,
            keep_evidence=report is not None,
        )
        if signer is not None:
            from suture.module.sign import sign_file

            for artifact in artifacts:
                sign_file(artifact.path, signer)
        return artifacts

    kernels = chosen_several(kernel, kernel_dir, fetch=fetch)
    files = inputs if git is None else ()  # a commit, and paths in the repository
    reports = BuildReports(report, files, name or inputs[0], is_one=len(kernels) == 1)
    make_reported, documented = reports.around(make), reports.with_reports(document)
    if len(kernels) > 1:
        from suture.cli.matrix import build_each

        if STANDARD in inputs:
            standard_input()  # once, before there are processes for the kernels
        place = _directory(output)
        build_each(
            kernels,
            lambda target: make_reported(target, None, place / target.release),
            documented,
            for_people,
        )
        return
    artifacts = make_reported(kernels[0].got(), output, Path())
    if artifacts[0].author_module is None:
        (artifact,) = artifacts
        emit(documented(artifact), lambda: for_people(artifact))
        return
    emit(
        {"modules": [documented(artifact) for artifact in artifacts]},
        lambda: "\n".join(for_people(artifact) for artifact in artifacts),
    )


def _directory(output: Path | None) -> Path:
    """Return the directory for the modules of several kernels.

    :raises Refusal: ``file-unreadable``
    """
    from suture.host.files import check_output

    if output is None:
        return Path()
    if output.suffix == ".ko" and not output.is_dir():
        raise click.BadParameter(
            f"{output} is the name of one module; for several kernels, --output names a directory"
        )
    if not output.is_dir():
        check_output(output)  # the directory itself is made, what is above it is not
    return output


def _signer(key: str | None, certificate: Path | None) -> Signer | None:
    """Return the signer after a test signature, so that a bad key fails before the build."""
    if (key is None) != (certificate is None):
        raise click.BadParameter("--sign-key and --sign-certificate must be given together")
    if key is None or certificate is None:
        return None
    from suture.module.sign import Signer, sign

    signer = Signer(key, certificate)
    sign(b"", key, signer)
    return signer


def document(artifact: Artifact) -> dict[str, object]:
    """The result for ``--json``."""
    if artifact.author_module is not None:
        return modules.document(artifact, artifact.author_module)
    patch = artifact.patch
    return {
        "module": str(artifact.path),
        "name": patch.name,
        "release": artifact.target.release,
        "inputs": artifact.inputs,
        "replace": patch.replace,
        "objects": patch.objects,
        "shadow_variables": [one.id for one in patch.shadow_variables],
        "stays": patch.stays,
        "references": patch.references,
        "new": [{"source": source, "function": function} for source, function in artifact.new],
        "left_out": artifact.left_out,
        "adapted": artifact.adapted,
        "because": artifact.callers,
        "findings": [one.as_dict() for one in artifact.findings],
        "data": artifact.data_changes,
        "checked": modules.checked(artifact.checked),
        "hands_out": artifact.hands_out,
        "calls": [
            {
                "object": one.objname,
                "source": one.source,
                "function": one.function,
                "section": one.stage.section,
                "callback": one.stage.kind,
            }
            for one in artifact.calls
        ],
    }


def for_people(artifact: Artifact) -> str:
    """The result as text."""
    if artifact.author_module is not None:
        return modules.for_people(artifact, artifact.author_module)
    patch = artifact.patch
    lines = [f"{artifact.path} is a live patch for {artifact.target.release}."]
    lines += [
        f"  from     {one}: {one.format.value}; {one.why}"
        for one in artifact.inputs
        if _is_worth_saying(one)
    ]
    calls = {(one.objname, one.function): one.calls for one in artifact.callers}
    unproved = {(one.objname, one.function, one.sympos) for one in artifact.checked}
    for patched in patch.objects:
        for function in patched.functions:
            if (patched.name, function.old_name, function.sympos) in unproved:
                continue
            position = f" (sympos {function.sympos})" if function.sympos else ""
            lines.append(
                f"  replaces {patched.name}: {function.old_name}(){position}, "
                "proved equal to the shipped one"
            )
            called = calls.get((patched.name, function.old_name))
            if called is not None:
                lines[-1] += f"; it calls {called}(), which has no fentry call"
    lines += modules.lines(artifact.checked)
    lines += modules.handed_out(artifact.hands_out)
    lines += [f"  adds     {source}: {function}()" for source, function in artifact.new]
    lines += [f"  leaves out {part.source}: {part.what}: {part.why}" for part in artifact.left_out]
    for adapted in artifact.adapted:
        lines.append(f"  adapted  {adapted.name} {adapted.how}, to:")
        lines += [f"    {line}" for line in adapted.diff.splitlines()]
    lines += [
        f"  calls    {one.source}: {one.function}(), {one.stage.when}" for one in artifact.calls
    ]
    lines += [f"  attaches shadow variable {one}" for one in patch.shadow_variables]
    for variable in artifact.data_changes:
        what = f"{variable.name} ({variable.size} bytes)"
        lines.append(f"  changes  {variable.objname}: {what}, proved equal to the shipped one")
    lines += [f"  found    {one}" for one in artifact.findings]
    lines += [f"  stays in memory until the reboot: {reason}" for reason in patch.stays]
    return "\n".join(lines)


def _is_worth_saying(one: Input) -> bool:
    """Whether to mention the input's format: not for plain diffs, the usual case."""
    return one.format is not Format.DIFF
