# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture rebuild``"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.changing import options, wait_option
from suture.cli.commands import PATH, argument, command, option
from suture.cli.output import emit, json_option
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.core.upgrade import Succession
    from suture.rebuild import RebuildOptions, Rebuilt

EXAMPLES = (
    ("suture rebuild", "build what is installed again for the newest kernel, before the reboot"),
    ("suture rebuild --dry-run", "show what a reboot into that kernel would leave unprotected"),
    (
        "suture rebuild fix.ko --kernel 6.1.0-51-amd64 -o modules",
        "build a module file again, on a host that builds for others",
    ),
)


@command("rebuild", examples=EXAMPLES)
@argument(
    "what",
    metavar="NAME|FILE.ko",
    nargs=-1,
    help="Installed live patches, by default all, or module files.",
)
@option("--kernel", metavar="RELEASE", help="The new kernel; by default the newest installed one.")
@option(
    "--dry-run",
    is_flag=True,
    help="Only say what becomes of them; exit with status 1 if the kernel would lack one.",
)
@option(
    "--output",
    "-o",
    metavar="DIR",
    type=PATH,
    help="Write the modules there instead of installing them.",
)
@option("--no-test", is_flag=True, help="Do not load and unload them in the lab.")
@option("--sign-key", metavar="KEY", help="As in 'suture build'.")
@option("--sign-certificate", metavar="FILE", type=PATH, help="As in 'suture build'.")
@wait_option
@json_option
def rebuild(
    what: tuple[str, ...],
    kernel: str | None,
    dry_run: bool,
    output: Path | None,
    no_test: bool,
    sign_key: str | None,
    sign_certificate: Path | None,
    wait: float,
) -> None:
    """Build installed live patches again for another kernel, test them in the lab, and install them
    for it.

    A live patch whose fix the new kernel has itself is needed no more: Suture knows that from the
    changelog of the kernel's package, by title or CVE numbers, or because the sources do not apply
    to what has been changed already. The others are built from the sources that their modules
    carry. One that cannot be built keeps none of the others from it.

    Exit status 1 means that the new kernel lacks at least one of them.
    """
    from suture.core import host, running, upgrade

    release = kernel or host.newer_kernel() or running.release()
    files = [Path(word) for word in what if word.endswith(".ko") or "/" in word]
    names = [word.replace("-", "_") for word in what if Path(word) not in files]
    if (files and names) or (files and output is None and not dry_run):
        raise click.BadParameter("module files go alone, and with --output")
    if dry_run:
        if files:
            raise click.BadParameter("--dry-run is about installed live patches")
        _show(release, upgrade.chosen(upgrade.successions(release), names))
        return
    chosen = _options(output, no_test, sign_key, sign_certificate, wait)
    done = list(_rebuilt(release, names, files, chosen))
    emit(_document(release, done), lambda: printable("\n".join(_lines(release, done))))
    if any(one.is_missing for one in done):
        raise click.exceptions.Exit(1)


def _options(
    output: Path | None, no_test: bool, key: str | None, certificate: Path | None, wait: float
) -> RebuildOptions:
    from suture.module.sign import Signer, sign
    from suture.rebuild import RebuildOptions

    if (key is None) is not (certificate is None):
        raise click.BadParameter("--sign-key and --sign-certificate must be given together")
    signer = Signer(key, certificate) if key is not None and certificate is not None else None
    if signer is not None:
        sign(b"", signer.key, signer)  # a bad key fails before the builds
    change = options(60.0, True, wait, True)
    return RebuildOptions(output, is_tested=not no_test, signer=signer, change=change)


def _rebuilt(
    release: str, names: Sequence[str], files: Sequence[Path], chosen: RebuildOptions
) -> Iterable[Rebuilt]:
    from suture.rebuild import rebuild as build_again
    from suture.rebuild import rebuild_files

    if files:
        return rebuild_files(release, files, options=chosen)
    return build_again(release, names, options=chosen)


def _show(release: str, found: Sequence[Succession]) -> None:
    """Print what becomes of the live patches, and exit with 1 if one would be missing."""
    from suture.core import upgrade

    document = {
        "release": release,
        "live_patches": [
            {"name": one.name, "origin": one.origin, "kind": one.kind, "because": one.because}
            for one in found
        ],
    }
    lines = upgrade.report(release, found) or [_nothing(release)]
    emit(document, lambda: printable("\n".join(lines)))
    if any(one.is_missing for one in found):
        raise click.exceptions.Exit(1)


def _document(release: str, done: Sequence[Rebuilt]) -> dict[str, object]:
    return {
        "release": release,
        "live_patches": [
            {
                "name": one.name,
                "origin": one.origin,
                "state": one.state,
                "because": one.because,
                "path": one.path,
                "tested": one.is_tested,
                "error": one.refusal.as_dict() if one.refusal else None,
            }
            for one in done
        ],
    }


def _lines(release: str, done: Sequence[Rebuilt]) -> list[str]:
    lines = [_line(release, one) for one in done]
    lines += [f"\n{one.refusal}" for one in done if one.refusal is not None]
    missing = [one.name for one in done if one.is_missing]
    if missing:
        lines.append(f"\n{release} lacks {', '.join(missing)}.")
    return lines or [_nothing(release)]


def _nothing(release: str) -> str:
    return f"No live patch is kept for another kernel than {release}."


def _line(release: str, one: Rebuilt) -> str:
    from suture.core import running
    from suture.rebuild import RebuildState

    tested = " and tested" if one.is_tested else ""
    now = f"; 'suture load {one.name}' loads it now" if release == running.release() else ""
    words = {
        RebuildState.KEPT: "is kept for it already",
        RebuildState.FIXED: f"is not needed: {one.because}",
        RebuildState.INSTALLED: f"is built{tested}; each boot of {release} loads it{now}",
        RebuildState.WRITTEN: f"is built{tested}: {one.path}",
        RebuildState.REFUSED: "could not be built again",
    }
    return f"{one.name} (for {one.origin}) {words[one.state]}"
