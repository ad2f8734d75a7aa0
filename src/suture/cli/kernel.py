# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture kernel list``, ``suture kernel fetch``, ``suture kernel show``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from suture.cli.commands import add, group
from suture.cli.output import Json, emit, table
from suture.cli.target import KernelDir

if TYPE_CHECKING:
    from rich.console import RenderableType

    from suture.kernel.release import Target
    from suture.sources import Survey

EXAMPLES = (
    ("suture kernel list", "list the available kernels"),
    ("suture kernel fetch 6.1.0-50-amd64", "download one, without installing anything"),
)

app = group("kernel", "Get kernels from the package archive, as targets to build for.", *EXAMPLES)

Release = Annotated[
    str, typer.Argument(metavar="RELEASE", help="As printed by uname -r: 6.1.0-50-amd64.")
]
Version = Annotated[
    str | None,
    typer.Option(
        "--version",
        metavar="VERSION",
        help="The package version, if there are several; by default the newest.",
    ),
]

Suites = Annotated[
    list[str] | None,
    typer.Option(
        "--suite",
        metavar="SUITE",
        help="Also look in this suite of the distribution, such as trixie, sid or "
        "bookworm-backports; all for every suite. Can be repeated.",
    ),
]

OPTIONS_THAT_MATTER = (
    "LIVEPATCH",
    "MODVERSIONS",
    "MODULE_SIG",
    "MODULE_SIG_FORCE",
    "DEBUG_INFO_BTF",
)
"""The options that decide how a live patch is built and loaded."""


def list_kernels(
    every: Annotated[
        bool, typer.Option("--all", help="Also list those that cannot be targets, and why.")
    ] = False,
    suite: Suites = None,
    json: Json = False,
) -> None:
    """List the kernels whose image, headers and source the configured archives have in one version.

    The list is as old as this host's package lists. The lists of other suites (--suite) are
    Suture's own, in its cache: it downloads them when they are missing or hours old, and changes
    nothing on the host.
    """
    from suture import sources

    survey = sources.survey(suite or ())
    here = {(target.release, target.version) for target in sources.fetched()}
    emit(_listing(survey, here), lambda: _listing_for_people(survey, here, every))


def fetch(
    release: Release, version: Version = None, suite: Suites = None, json: Json = False
) -> None:
    """Download a kernel's packages, verify their signatures, and unpack them into the cache.

    This installs nothing and does not need root. A kernel that is already in the cache is not
    downloaded again. A kernel that this host's archives do not have is looked for in the suite that
    its name says it is from.
    """
    from suture import sources

    target = sources.fetch(release, version, suite or ())
    emit(_files(target), f"{target.release} {target.version} is in {target.vmlinux.parent}")


def show(
    release: Annotated[
        str | None, typer.Argument(metavar="RELEASE", help="By default the running kernel.")
    ] = None,
    kernel_dir: KernelDir = None,
    json: Json = False,
) -> None:
    """Show a target's compiler, the options that matter for live patches, and where its files
    are."""
    from suture.cli.target import chosen

    document = _description(chosen(release, kernel_dir))
    emit(document, lambda: _description_for_people(document))


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


def _listing_for_people(survey: Survey, here: set[tuple[str, str]], every: bool) -> RenderableType:
    from rich.console import Group

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
    parts: list[RenderableType] = [table(("release", "version", "suite", "download", ""), rows)]
    if every:
        reasons = [(left.release, left.version, left.reason) for left in survey.left_out]
        parts += ["", table(("cannot be a target", "version", "why"), reasons)]
    elif survey.left_out:
        parts.append(f"\n{len(survey.left_out)} more cannot be targets; --all shows why.")
    parts += [f"\nNot asked: {refusal.where}: {refusal.found}" for refusal in survey.unanswered]
    return Group(*parts)


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


def _description_for_people(document: dict[str, object]) -> RenderableType:
    from rich.console import Group

    options, files = document["options"], document["files"]
    assert isinstance(options, dict)
    assert isinstance(files, dict)
    facts = [(name, str(document[name])) for name in ("release", "version", "compiler")]
    facts += [(name, f"{document[name]:,}") for name in ("symbols", "exports", "modules")]
    parts = ("vmlinuz", "vmlinux", "kallsyms", "config", "symvers", "modules", "source")
    return Group(
        str(document["banner"]),
        "",
        table(("", ""), facts),
        "",
        table(("option", ""), [(f"CONFIG_{name}", value) for name, value in options.items()]),
        "",
        table(("file", ""), [(name, str(files[name])) for name in parts]),
    )


add(
    app,
    "list",
    list_kernels,
    [
        ("suture kernel list --all", "also show why other kernels cannot be targets"),
        ("suture kernel list --suite trixie", "also list the kernels of another suite"),
    ],
)
add(
    app,
    "fetch",
    fetch,
    [("suture kernel fetch 6.1.0-50-amd64", "download once, for 'suture build --kernel' to use")],
)
add(
    app,
    "show",
    show,
    [
        ("suture kernel show 6.1.0-50-amd64", "show a fetched kernel"),
        ("suture kernel show --kernel-dir ~/linux", "show a kernel tree that you built"),
    ],
)
