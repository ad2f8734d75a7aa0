# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of ``suture repo`` that are about live patches."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, Percent, argument, option
from suture.cli.names import module_argument
from suture.cli.output import Human, emit, in_parts, json_option
from suture.cli.repo_group import (
    kernel_option,
    key_option,
    moment_of,
    repo,
    ring_option,
    settlement_document,
    settlement_lines,
    signers_of,
    tree_argument,
    tree_of,
)
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.repo.documents import RingChoice
    from suture.repo.settling import Settlement

name_argument = argument("name", metavar="NAME", help="The live patch, by its module's name.")


@repo.command(
    "publish",
    examples=[
        (
            "suture repo publish patches fix.ko --report fix.html --key release.key "
            "--key online.key",
            "publish one with its report",
        )
    ],
)
@tree_argument
@module_argument
@option(
    "--report",
    metavar="FILE",
    type=PATH,
    multiple=True,
    help="A report on it (.html, .md or .json), to be published with it. Can be repeated.",
)
@option(
    "--prove",
    is_flag=True,
    help="Verify it against the shipped kernel first, and publish what was compared; needs what "
    "'suture verify' needs.",
)
@option(
    "--reboot-by",
    metavar="DATE",
    help="The day until which hosts are meant to do without a reboot; 'suture status' shows it.",
)
@key_option
@json_option
def publish(
    directory: Path,
    module: Path,
    report: tuple[Path, ...],
    prove: bool,
    reboot_by: str | None,
    key: tuple[str, ...],
) -> None:
    """Vouch for a live patch of the kernel that its module names.

    Hosts learn its hash, its functions, the CVEs that it closes, and what its author accepted. No
    host loads it before its ring chooses it: 'suture repo promote'.
    """
    from suture.host.files import read_bytes
    from suture.repo import publishing

    data = read_bytes(module)
    reports = {publishing.report_ending(path): read_bytes(path) for path in report}
    beside = publishing.Accompaniment(
        reports,
        _proof(data, module) if prove else {},
        _day(reboot_by),
    )
    patch, done = publishing.publish(tree_of(directory), data, str(module), beside, signers_of(key))
    document = {"patch": asdict(patch), **settlement_document(done)}
    about = f"{patch.name} for {patch.release}, SHA-256 {patch.sha256[:16]}..."
    emit(document, lambda: in_parts(printable(about), settlement_lines(done)))


@repo.command("withdraw")
@tree_argument
@name_argument
@kernel_option
@option("--reason", metavar="TEXT", required=True, help="Why; hosts show it.")
@key_option
@json_option
def withdraw(
    directory: Path, name: str, kernel: str | None, reason: str, key: tuple[str, ...]
) -> None:
    """Take a live patch back: hosts that follow a ring take it out, and none loads it any more."""
    from suture.repo import publishing
    from suture.repo.overview import release_of

    tree = tree_of(directory)
    release = kernel or release_of(tree, name)
    entry, done = publishing.withdraw(tree, release, name, reason, signers_of(key))
    document = {"withdrawn": asdict(entry), "release": release, **settlement_document(done)}
    about = f"{name} for {release} is withdrawn{'' if done.published else ' once this is signed'}."
    emit(document, lambda: in_parts(printable(about), settlement_lines(done)))


@repo.command(
    "promote",
    examples=[
        (
            "suture repo promote patches fix --ring all --percent 5 --key ring.key "
            "--key online.key",
            "have one host in twenty load it",
        ),
        (
            "suture repo promote patches --none --kernel 6.1.0-50-amd64 --ring all --key ring.key "
            "--key online.key",
            "have all hosts of the ring take out what they have by it",
        ),
    ],
)
@tree_argument
@argument("name", metavar="NAME", required=False, help="The live patch, by its module's name.")
@option("--none", "none", is_flag=True, help="Choose none, in place of NAME.")
@ring_option
@kernel_option
@option(
    "--percent",
    metavar="NUMBER",
    type=Percent(),
    default=100.0,
    help="The share of the ring's hosts that load it; the others stay with the choice before.",
)
@option("--salt", metavar="TEXT", help="Another text has other hosts begin.")
@option(
    "--not-before",
    metavar="TIME",
    help="When hosts may load it: 2h or 3d from now, or a time in ISO 8601, UTC.",
)
@option(
    "--replace",
    is_flag=True,
    help="Functions of earlier live patches may lose their fix, as when going back to an older "
    "one.",
)
@key_option
@json_option
def promote(
    directory: Path,
    name: str | None,
    none: bool,
    ring: str,
    kernel: str | None,
    percent: float,
    salt: str | None,
    not_before: str | None,
    replace: bool,
    key: tuple[str, ...],
) -> None:
    """Let a ring choose a published live patch, for all its hosts or a share of them.

    Widening the share keeps the hosts that have it. Where the ring chooses another one, hosts
    replace what they have.
    """
    from suture.repo import publishing
    from suture.repo.documents import WHOLE
    from suture.repo.overview import release_of

    if none == (name is not None):
        raise click.UsageError("Give either the name of a live patch or --none.")
    if none and kernel is None:
        raise click.UsageError("--none needs --kernel.")
    tree = tree_of(directory)
    order = publishing.RingOrder(
        name,
        round(percent * WHOLE / 100),
        salt,
        moment_of(not_before, "--not-before"),
        replace,
    )
    release = kernel or release_of(tree, name or "")
    choice, done = publishing.promote(tree, ring, release, order, signers_of(key))
    _show_choice(choice, done)


@repo.command("halt")
@tree_argument
@ring_option
@option("--kernel", metavar="RELEASE", required=True, help="The kernel.")
@option("--resume", is_flag=True, help="Let hosts load it again.")
@key_option
@json_option
def halt(directory: Path, ring: str, kernel: str, resume: bool, key: tuple[str, ...]) -> None:
    """Have no more hosts load what a ring has chosen; those that have it keep it.

    Hosts ask once more right before they load, so it counts at once.
    """
    from suture.repo import publishing

    choice, done = publishing.halt(tree_of(directory), ring, kernel, not resume, signers_of(key))
    _show_choice(choice, done)


@repo.command(
    "deb",
    examples=[
        (
            "suture repo deb patches fix --maintainer 'Ops <ops@example.org>'",
            "wrap a live patch for apt",
        )
    ],
)
@tree_argument
@name_argument
@kernel_option
@option(
    "--maintainer",
    metavar="'NAME <ADDRESS>'",
    required=True,
    help="Who answers for the package.",
)
@option(
    "--output",
    "-o",
    "into",
    metavar="DIRECTORY",
    type=PATH,
    default=Path(),
    help="Where to put it.",
)
@option(
    "--require-signature",
    is_flag=True,
    help="Have hosts require a signature by a key in /etc/suture/trusted.",
)
@json_option
def deb(
    directory: Path,
    name: str,
    kernel: str | None,
    maintainer: str,
    into: Path,
    require_signature: bool,
) -> None:
    """Wrap a published live patch as a Debian package, whose installation runs 'suture install'.

    The package carries no trust of its own: hosts believe whoever signs the archive that it is in,
    and a withdrawal does not reach those that do not follow the repository.
    """
    from suture.repo.deb import wrap
    from suture.repo.overview import release_of

    if not re.fullmatch(r"[^<>\n]+ <[^<>\s]+@[^<>\s]+>", maintainer):
        raise click.BadParameter("--maintainer takes 'NAME <ADDRESS>'")
    tree = tree_of(directory)
    release = kernel or release_of(tree, name)
    made = wrap(tree, release, name, into, maintainer, require_signature=require_signature)
    emit({"package": made, "release": release, "name": name}, printable(str(made)))


@repo.command("mirror")
@argument("url", metavar="URL", help="The repository: https:, http: or file:.")
@argument("directory", metavar="DIRECTORY", type=PATH, help="The mirror, such as a USB stick.")
@option(
    "--root",
    metavar="ROOT.json",
    type=PATH,
    required=True,
    help="The root metadata that you trust.",
)
@option("--proxy", metavar="URL", default="", help="A proxy; by default the environment's.")
@json_option
def mirror(url: str, directory: Path, root: Path, proxy: str) -> None:
    """Copy a repository, verified, to a directory that hosts can follow in its place.

    Run it again to bring the copy up to date: the timestamp is written last, so that hosts see one
    state or the other.
    """
    from suture.host.files import read_bytes
    from suture.repo.mirror import mirror as copy

    done = copy(url, directory, read_bytes(root), proxy)
    about = f"{done.files} files, {done.fetched} of them new; signed at {done.signed}."
    emit(done, printable(about))


@repo.command(
    "adopt",
    examples=[
        (
            "suture repo adopt ours https://patches.example.org/kernel --root theirs.json "
            "--kernel 6.1.0-50-amd64 --key online.key",
            "take over what others vouch for, and choose among it with rings of your own",
        )
    ],
)
@tree_argument
@argument("url", metavar="URL", help="The other repository, or a mirror of it.")
@option(
    "--root",
    metavar="ROOT.json",
    type=PATH,
    required=True,
    help="The other repository's root metadata, which you trust.",
)
@option("--kernel", metavar="RELEASE", required=True, help="The kernel.")
@option("--proxy", metavar="URL", default="", help="A proxy; by default the environment's.")
@key_option
@json_option
def adopt(
    directory: Path, url: str, root: Path, kernel: str, proxy: str, key: tuple[str, ...]
) -> None:
    """Publish what another repository vouches for, in one of your own with its own root and rings.

    The other's release managers vouch and withdraw, and you choose and halt. The first time, your
    holders of targets sign for the others' keys; later, the online key is enough.
    """
    from suture.host.files import read_bytes
    from suture.repo.adopting import adopt as take

    done = take(tree_of(directory), url, read_bytes(root), kernel, signers_of(key), proxy)
    emit(settlement_document(done), lambda: settlement_lines(done))


def _show_choice(choice: RingChoice, done: Settlement) -> None:
    document = {"choice": asdict(choice), **settlement_document(done)}
    emit(document, lambda: _choice_lines(choice, done))


def _choice_lines(choice: RingChoice, done: Settlement) -> Human:
    what = choice.patch.name if choice.patch else "no live patch"
    share = f" on {choice.share / 100:g} % of its hosts" if choice.patch else ""
    halted = ", halted" if choice.halted else ""
    verb = "chooses" if done.published else "is to choose, once this is signed,"
    about = f"The ring {choice.ring} {verb} {what} for {choice.release}{share}{halted}."
    return in_parts(printable(about), settlement_lines(done))


def _proof(data: bytes, module: Path) -> dict[str, object]:
    """Verify a module against the kernel that it is for, and return what was shown.

    :raises Refusal: as `suture.verify_module`
    """
    from suture.api import report_on, verify_module
    from suture.cli.target import chosen
    from suture.module.inspect import read_file

    target = chosen(read_file(module).release, None)
    fit = verify_module(data, target)
    verdict = report_on(data, target).verdict
    return {
        "kernel": target.release,
        "version": target.version,
        "functions": [asdict(place) for place in fit.functions],
        "shown": list(verdict.shown),
        "not_shown": list(verdict.not_shown),
    }


def _day(text: str | None) -> str:
    if text is None:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a day such as 2027-01-31") from None
