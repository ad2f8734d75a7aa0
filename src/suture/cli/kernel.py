# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture kernel list``, ``fetch``, ``show``, ``remove`` and ``prune``"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suture.cli import completion
from suture.cli.commands import Number, argument, group, option
from suture.cli.output import Human, emit, in_parts, json_option, table
from suture.cli.target import kernel_dir_option

if TYPE_CHECKING:
    from suture.kernel.release import Target
    from suture.sources import Survey
    from suture.workspace.disk import KeptKernel

EXAMPLES = (
    ("suture kernel list", "list the available kernels"),
    ("suture kernel fetch 6.1.0-50-amd64", "download one, without installing anything"),
)

kernel = group(
    "kernel", "Get kernels from the package archive, as targets to build for.", *EXAMPLES
)

version_option = option(
    "--version",
    metavar="VERSION",
    help="The package version, if there are several; by default the newest.",
)

suites_option = option(
    "--suite",
    metavar="SUITE",
    multiple=True,
    help="Also look in this suite of the distribution, such as trixie, sid or "
    "bookworm-backports; all for every suite. Can be repeated.",
)

OPTIONS_THAT_MATTER = (
    "LIVEPATCH",
    "MODVERSIONS",
    "MODULE_SIG",
    "MODULE_SIG_FORCE",
    "DEBUG_INFO_BTF",
)
"""The options that decide how a live patch is built and loaded."""


@kernel.command(
    "list",
    examples=[
        ("suture kernel list --all", "also show why other kernels cannot be targets"),
        ("suture kernel list --suite trixie", "also list the kernels of another suite"),
        ("suture kernel list --fetched", "list those on this host, with what they take on disk"),
    ],
)
@option("--all", "every", is_flag=True, help="Also list those that cannot be targets, and why.")
@suites_option
@option(
    "--fetched", "here", is_flag=True, help="List those on this host instead, with what they take."
)
@json_option
def list_kernels(every: bool, suite: tuple[str, ...], here: bool) -> None:
    """List the kernels whose image, headers and source the configured archives have in one version.

    The list is as old as this host's package lists. The lists of other suites (--suite) are
    Suture's own, in its cache: it downloads them when they are missing or hours old, and changes
    nothing on the host.
    """
    if here:
        _list_kept()
        return
    from suture import sources

    survey = sources.survey(suite)
    known = {(target.release, target.version) for target in sources.fetched()}
    emit(_listing(survey, known), lambda: _listing_for_people(survey, known, every))


@kernel.command(
    "fetch",
    examples=[
        ("suture kernel fetch 6.1.0-50-amd64", "download once, for 'suture build --kernel' to use")
    ],
)
@argument(
    "release",
    metavar="RELEASE",
    shell_complete=completion.unfetched,
    help="As printed by uname -r: 6.1.0-50-amd64.",
)
@version_option
@suites_option
@json_option
def fetch(release: str, version: str | None, suite: tuple[str, ...]) -> None:
    """Download a kernel's packages, verify their signatures, and unpack them into the cache.

    This installs nothing and does not need root. A kernel that is already in the cache is not
    downloaded again. A kernel that this host's archives do not have is looked for in the suite that
    its name says it is from.
    """
    from suture import sources

    target = sources.fetch(release, version, suite)
    emit(_files(target), f"{target.release} {target.version} is in {target.vmlinux.parent}")


@kernel.command(
    "remove",
    examples=[("suture kernel remove 6.1.0-50-amd64", "remove a kernel and its prepared source")],
)
@argument(
    "releases",
    metavar="RELEASE...",
    nargs=-1,
    required=True,
    shell_complete=completion.fetched,
    help="As 'suture kernel list' shows them.",
)
@version_option
@json_option
def remove(releases: tuple[str, ...], version: str | None) -> None:
    """Remove a kernel and the source that was prepared for it from the cache.

    Nothing else is removed: live patches that were built for it stay. It can be fetched again.
    """
    from suture.workspace import disk

    removed = [disk.remove(release, version) for release in dict.fromkeys(releases)]
    emit({"removed": list(map(_kept_document, removed))}, lambda: _removed_for_people(removed, 0))


@kernel.command(
    "prune",
    examples=[
        ("suture kernel prune --dry-run", "see what would be removed"),
        ("suture kernel prune --keep 1", "keep the newest of each series and flavour"),
    ],
)
@option(
    "--keep",
    metavar="N",
    type=Number(min=0),
    default=2,
    help="Keep this many of each series and flavour.",
)
@option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@json_option
def prune(keep: int, dry_run: bool) -> None:
    """Remove all kernels but the newest of each series and flavour from the cache, and packages
    that a fetch left behind.

    What is needed again is fetched and prepared again.
    """
    from suture.workspace import disk

    found = disk.superfluous(disk.kept(), keep)
    if dry_run:
        packages = sum(map(disk.size_on_disk, disk.packages()))
    else:
        found = [disk.remove(one.release, one.version) for one in found]
        packages = disk.remove_packages()
    document = {
        "removed": list(map(_kept_document, found)),
        "packages_size": packages,
        "dry_run": dry_run,
    }
    emit(document, lambda: _removed_for_people(found, packages, dry_run=dry_run))


@kernel.command(
    "show",
    examples=[
        ("suture kernel show 6.1.0-50-amd64", "show a fetched kernel"),
        ("suture kernel show --kernel-dir ~/linux", "show a kernel tree that you built"),
    ],
)
@argument(
    "release",
    metavar="RELEASE",
    required=False,
    shell_complete=completion.fetched,
    help="By default the running kernel.",
)
@kernel_dir_option
@json_option
def show(release: str | None, kernel_dir: Path | None) -> None:
    """Show a target's compiler, the options that matter for live patches, and where its files
    are."""
    from suture.cli.target import chosen

    document = _description(chosen(release, kernel_dir))
    emit(document, lambda: _description_for_people(document))


def _list_kept() -> None:
    from suture.workspace import disk

    kernels = disk.kept()
    packages = sum(map(disk.size_on_disk, disk.packages()))
    document = {"kept": list(map(_kept_document, kernels)), "packages_size": packages}
    emit(document, lambda: _kept_for_people(kernels, packages))


def _kept_document(kernel: KeptKernel) -> dict[str, object]:
    return {
        "release": kernel.release,
        "version": kernel.version,
        "parts_size": kernel.parts_size,
        "workspaces_size": kernel.workspaces_size,
    }


def _kept_for_people(kernels: Sequence[KeptKernel], packages: int) -> Human:
    rows = [
        (one.release, one.version, _gigabytes(one.parts_size), _gigabytes(one.workspaces_size))
        for one in kernels
    ]
    whole = sum(one.size for one in kernels) + packages
    return in_parts(
        table(("release", "version", "kernel", "prepared source"), rows),
        f"\n{_gigabytes(whole)} in all, {_gigabytes(packages)} of it downloaded packages.",
        "'suture kernel prune' removes old ones, and the packages.",
    )


def _removed_for_people(
    kernels: Sequence[KeptKernel], packages: int, *, dry_run: bool = False
) -> str:
    verb = "Would remove" if dry_run else "Removed"
    lines = [f"{verb} {one.release} {one.version}: {_gigabytes(one.size)}" for one in kernels]
    if packages:
        lines.append(f"{verb} downloaded packages: {_gigabytes(packages)}")
    return "\n".join(lines or ["Nothing to remove."])


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _listing(survey: Survey, here: set[tuple[str, str]]) -> dict[str, object]:
    offered = {(offer.release, offer.version) for offer in survey.offers}
    listing: dict[str, object] = {
        "offers": [
            {
                "release": offer.release,
                "version": offer.version,
                "suite": offer.suite,
                "size": offer.size,
                "fetched": (offer.release, offer.version) in here,
            }
            for offer in survey.offers
        ],
        "kept": [
            {"release": release, "version": version} for release, version in sorted(here - offered)
        ],
        "left_out": survey.left_out,
    }
    if survey.unanswered:
        listing["unanswered"] = [refusal.as_dict() for refusal in survey.unanswered]
    return listing


def _listing_for_people(survey: Survey, here: set[tuple[str, str]], every: bool) -> Human:
    offered = {(offer.release, offer.version) for offer in survey.offers}
    rows = [
        (
            offer.release,
            offer.version,
            offer.suite,
            f"{offer.size / 1e6:.0f} MB",
            "fetched" if (offer.release, offer.version) in here else "",
        )
        for offer in survey.offers
    ]
    rows += [
        (release, version, "", "", "fetched; not in these archives")
        for release, version in sorted(here - offered)
    ]
    parts: list[Human] = [table(("release", "version", "suite", "download", ""), rows)]
    if every:
        reasons = [(left.release, left.version, left.reason) for left in survey.left_out]
        parts += ["", table(("cannot be a target", "version", "why"), reasons)]
    elif survey.left_out:
        parts.append(f"\n{len(survey.left_out)} more cannot be targets; --all shows why.")
    parts += [f"\nNot asked: {refusal.where}: {refusal.found}" for refusal in survey.unanswered]
    return in_parts(*parts)


def _description(target: Target) -> dict[str, object]:
    from suture.kernel import config, image, kallsyms, modules, symvers

    configuration = config.read(target.config)
    options = (*OPTIONS_THAT_MATTER, *target.arch.build.options)
    return {
        "release": target.release,
        "version": target.version,
        "banner": image.read(target.vmlinux).banner,
        "compiler": configuration.compiler,
        "options": {name: configuration.value(name) or "n" for name in options},
        "symbols": len(kallsyms.read(target.kallsyms).symbols),
        "exports": len(symvers.read(target.symvers).exports),
        "modules": len(modules.index(target)),
        "files": _files(target),
    }


def _files(target: Target) -> dict[str, object]:
    """Where a target's parts are; those that few kernels have stand in it where they are."""
    named = {
        name: getattr(target, name)
        for name in (
            "release",
            "version",
            "vmlinuz",
            "vmlinux",
            "kallsyms",
            "config",
            "symvers",
            "modules",
            "source",
        )
    }
    if target.patches:
        named["patches"] = target.patches
    if target.debug is not None:
        named["debug"] = target.debug
    return named


def _description_for_people(document: dict[str, object]) -> Human:
    options, files = document["options"], document["files"]
    assert isinstance(options, dict)
    assert isinstance(files, dict)
    facts = [(name, str(document[name])) for name in ("release", "version", "compiler")]
    facts += [(name, f"{document[name]:,}") for name in ("symbols", "exports", "modules")]
    parts = ("vmlinuz", "vmlinux", "kallsyms", "config", "symvers", "modules", "source")
    return in_parts(
        str(document["banner"]),
        "",
        table(("", ""), facts),
        "",
        table(("option", ""), [(f"CONFIG_{name}", value) for name, value in options.items()]),
        "",
        table(("file", ""), [(name, str(files[name])) for name in parts]),
    )
