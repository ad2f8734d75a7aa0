# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture fixes``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, command, option
from suture.cli.option_parts import OptionPart
from suture.cli.output import Human, emit, in_parts, json_option, table
from suture.cli.target import kernel_option
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.fixes.counts import FixCounts
    from suture.fixes.listing import FixList
    from suture.fixes.standing import FixStanding

EXAMPLES = (
    ("suture fixes", "list the CVE fixes of newer versions that reach code this host runs"),
    ("suture fixes --report fixes.html", "write a page with all that the newest version fixes"),
    (
        "suture fixes --kernel 6.1.0-50-amd64 --to 6.1.187-1 --modules web1.lsmod",
        "list what another host lacks up to a version",
    ),
    (
        "suture fixes --build",
        "build one live patch of all fixes that reach this host and can be live",
    ),
    (
        "suture fixes --build --only netfilter --without CVE-2026-23111",
        "build some of them",
    ),
)


@command("fixes", examples=EXAMPLES)
@kernel_option
@option(
    "--to",
    metavar="VERSION",
    help="The version of the kernel's source to compare with; by default the newest on offer.",
)
@option(
    "--running/--all",
    "is_running",
    default=True,
    help="List the fixes with CVE numbers in code that the host runs (the default), or all.",
)
@option(
    "--modules",
    metavar="FILE",
    type=PATH,
    help="The modules of another host, as lsmod prints them or /proc/modules has them.",
)
@option(
    "--git",
    metavar="DIR",
    type=PATH,
    help="Take the files of the very commits from a clone of the stable kernel's repository.",
)
@option(
    "--build",
    "is_building",
    is_flag=True,
    help="Build one live patch of the listed fixes, as far as they can be live. It is not loaded.",
    panel=OptionPart.BUILD,
)
@option(
    "--only",
    metavar="WHAT",
    multiple=True,
    help="Build these alone: a path or directory, a CVE number, or the place that titles begin "
    "with, such as netfilter.",
    panel=OptionPart.BUILD,
)
@option(
    "--without",
    metavar="WHAT",
    multiple=True,
    help="Do not build these.",
    panel=OptionPart.BUILD,
)
@option(
    "--output",
    "-o",
    metavar="OUT.ko",
    type=PATH,
    help="The output file; by default NAME.ko in the current directory.",
    panel=OptionPart.BUILD,
)
@option(
    "--name",
    metavar="NAME",
    help="The module's name; by default livepatch_fixes_ and the version.",
    panel=OptionPart.BUILD,
)
@option(
    "--report",
    metavar="FILE.html",
    type=PATH,
    help="Also write a page with all fixes.",
)
@json_option
def fixes(
    kernel: str | None,
    to: str | None,
    is_running: bool,
    modules: Path | None,
    git: Path | None,
    is_building: bool,
    only: tuple[str, ...],
    without: tuple[str, ...],
    output: Path | None,
    name: str | None,
    report: Path | None,
) -> None:
    """List what newer versions of a kernel's source fix, and which of the fixes reach code that
    this host runs.

    The sources of both versions are compared, and each entry of the changelog between them is
    matched with the changed files that it may mean. A match is sure if the title names a function
    that one of them alone has, or a place that is one file; it is likely if several are possible.
    Nothing is built unless asked for, and nothing is loaded.

    With --build, the changed files are put into groups that belong together, each group is tried
    by itself, and those that can be live become one live patch, which says which fixes it has.
    Hundreds of files are compiled; an interrupted run goes on where it was.

    The first run for two versions downloads the newer source and takes some 20 seconds; the result
    is kept.
    """
    from suture import sources
    from suture.core import running
    from suture.core.status import status
    from suture.fixes import standing
    from suture.fixes.commits import with_commits
    from suture.fixes.counts import counted
    from suture.fixes.listing import list_fixes
    from suture.fixes.page import render
    from suture.host.files import check_output, write_atomic

    if not is_building and (only or without or output or name):
        raise click.UsageError("--only, --without, --output and --name are for --build")
    for path in filter(None, (report, output)):
        check_output(path)
    release = kernel or running.release()
    target = sources.find(release)
    is_here = release == running.release()
    loaded = standing.modules_of(modules) if modules else None
    if loaded is None and is_here:
        loaded = standing.modules_here()
    found = list_fixes(target, to)
    if git is not None and found.old != found.new:
        found = with_commits(found, git)
    if is_building:
        from suture.cli.fixes_build import FixesBuild

        wanted = FixesBuild(target, found, only, without, output, name, report)
        wanted.run(loaded, of_all=not is_running)
        return
    is_own = is_here and modules is None
    every = standing.standings(found, loaded, status() if is_own else None)
    if report is not None:
        write_atomic(report, render(found, every).encode("utf-8", "replace"))
    shown = [one for one in every if not is_running or _is_wanted(one)]
    counts = counted(found, every)
    emit(
        _document(found, counts, shown),
        lambda: _for_people(found, counts, shown, is_known=loaded is not None),
    )


def _is_wanted(one: FixStanding) -> bool:
    """Whether a fix with a CVE number may reach the host."""
    return bool(one.fix.cves and one.objects) and one.runs is not False


def _document(found: FixList, counts: FixCounts, shown: list[FixStanding]) -> dict[str, object]:
    return {
        "release": found.release,
        "version": found.old,
        "to": found.new,
        "counts": counts,
        "fixes": [
            {
                "title": one.fix.title,
                "version": one.fix.version,
                "cves": one.fix.cves,
                "architectures": one.fix.architectures,
                "certainty": one.fix.certainty,
                "because": one.fix.because,
                "files": one.fix.files,
                "objects": one.objects,
                "runs": one.runs,
                "in_force": one.in_force or None,
            }
            for one in shown
        ],
        "files": found.files,
        "other_files": found.others,
    }


def _for_people(
    found: FixList, counts: FixCounts, shown: list[FixStanding], *, is_known: bool
) -> Human:
    if found.old == found.new:
        return f"No newer source than {found.old} is on offer for {found.release}."
    lines = [
        f"{found.release}: {found.old} -> {found.new}",
        f"{counts.fixes} fixes with {counts.cves} CVE numbers; "
        f"{counts.files} files of code differ, {counts.files_of_kernel} of which this kernel "
        "is built from.",
        _reaching(counts, is_known=is_known),
    ]
    if unsure := counts.cves_unsure:
        lines.append(
            f"{unsure} more CVE numbers are in entries that no file could be found for (--all)."
        )
    if not shown:
        return "\n".join(lines)
    rows = [_row(one) for one in sorted(shown, key=lambda one: (one.objects, one.fix.title))]
    return in_parts(*lines, "", table(("CVE", "fix", "in", "match"), rows))


def _reaching(counts: FixCounts, *, is_known: bool) -> str:
    if not is_known:
        return f"{counts.cves_of_kernel} of the CVE numbers may be in code of this kernel."
    in_force = f", {counts.cves_in_force} of them in force" if counts.cves_in_force else ""
    return f"{counts.cves_running} of the CVE numbers may be in code that runs{in_force}."


def _row(one: FixStanding) -> tuple[str, str, str, str]:
    fix = one.fix
    objects = ", ".join(one.objects[:2]) + (", ..." if len(one.objects) > 2 else "")
    match = f"in force: {one.in_force}" if one.in_force else fix.certainty
    return ", ".join(fix.cves), printable(fix.title), objects, match
