# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands of ``suture repo`` that are about keys and roles."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from suture.cli.commands import PATH, Declared, Number, argument, option
from suture.cli.output import Human, emit, in_parts, json_option, json_wanted, table
from suture.cli.repo_group import (
    key_option,
    public_keys,
    repo,
    secret,
    settlement_document,
    settlement_lines,
    signers_of,
    tree_argument,
    tree_of,
)
from suture.host.terminal import printable

if TYPE_CHECKING:
    from suture.repo.documents import RingChoice
    from suture.repo.overview import RepositoryOverview

ROLE_HELP = "The role: root, targets, snapshot, timestamp, patches-RELEASE or ring-NAME."

days_option = option(
    "--days", metavar="NUMBER", type=Number(1, 3660), help="How long its metadata lives."
)


@repo.command("new-key")
@argument("directory", metavar="DIRECTORY", type=PATH, help="Where to put the files.")
@argument("name", metavar="NAME", nargs=-1, required=True, help="The holder or use of each key.")
@json_option
def new_key(directory: Path, name: tuple[str, ...]) -> None:
    """Make Ed25519 keys that sign metadata: NAME.key for their holders alone, and NAME.pub.

    If SUTURE_KEY_PIN is set, they are encrypted with that passphrase. Keys of root and targets
    belong on other hosts than the online key.
    """
    from suture.repo.keys import from_environment
    from suture.repo.keys import new_key as make

    made = [make(directory, one, from_environment(one)) for one in name]
    emit(made, lambda: printable("\n".join(f"{one.private} and {one.public}" for one in made)))


@repo.command(
    "public-key",
    examples=[
        (
            "PYKCS11LIB=/usr/lib/libykcs11.so suture repo public-key hsm:2 alice.pub",
            "write that of a key on a token",
        )
    ],
)
@argument("key", metavar="KEY", help="A PEM file, or hsm:KEYID?label=TOKEN.")
@argument("file", metavar="FILE.pub", type=PATH, help="The file to write.")
@option("--holder", metavar="NAME", help="Whose key it is; by default the file's name.")
@json_option
def public_key(key: str, file: Path, holder: str | None) -> None:
    """Write the public half of a key, for 'suture repo init' and 'suture repo propose'."""
    from suture.repo.keys import export_public

    found = export_public(key, file, holder or file.stem, secret)
    emit({"public": file, "keyid": found.keyid}, printable(f"{file}: {found.keyid}"))


def _keys(name: str, about: str) -> Callable[[Declared], Declared]:
    return option(f"--{name}", metavar="KEY.pub", multiple=True, required=True, help=about)


def _threshold(name: str) -> Callable[[Declared], Declared]:
    about = f"How many of the keys of --{name.replace('_', '-')} have to sign."
    declared = f"--{name.replace('_', '-')}-threshold"
    return option(declared, metavar="NUMBER", type=Number(1), default=1, help=about)


INIT_EXAMPLES = (
    (
        "suture repo init patches --root a.pub --root b.pub --root c.pub --root-threshold 2 "
        "--targets a.pub --release release.pub --ring-key ring.pub --online online.pub "
        "--kernel 6.1.0-50-amd64 --ring canary --ring all --key a.key --key b.key",
        "make one, and sign it with the keys that are here",
    ),
)


@repo.command("init", examples=INIT_EXAMPLES)
@tree_argument
@_keys("root", "A key of root; best three or more, on tokens that are kept apart.")
@_threshold("root")
@_keys("targets", "A key that says who may publish and who may choose.")
@_threshold("targets")
@_keys("release", "A key of a release manager, who vouches for live patches.")
@_threshold("release")
@_keys("ring-key", "A key that chooses for rings among what is vouched for.")
@_threshold("ring-key")
@_keys("online", "The key of snapshot and timestamp, on the host that publishes.")
@option("--kernel", metavar="RELEASE", multiple=True, help="A kernel to publish for.")
@option("--ring", metavar="NAME", multiple=True, help="A ring of hosts, such as canary.")
@key_option
@json_option
def init(
    directory: Path,
    root: tuple[str, ...],
    root_threshold: int,
    targets: tuple[str, ...],
    targets_threshold: int,
    release: tuple[str, ...],
    release_threshold: int,
    ring_key: tuple[str, ...],
    ring_key_threshold: int,
    online: tuple[str, ...],
    kernel: tuple[str, ...],
    ring: tuple[str, ...],
    key: tuple[str, ...],
) -> None:
    """Make a repository: a directory of static files for any web server.

    Its first metadata is staged until enough holders have signed it with 'suture repo sign'. Hosts
    are given metadata/1.root.json, and trust all that follows from it.
    """
    from suture.repo.roles import FirstRoles, Holders, create

    first = FirstRoles(
        Holders(public_keys(root), root_threshold),
        Holders(public_keys(targets), targets_threshold),
        Holders(public_keys(online)),
        Holders(public_keys(release), release_threshold),
        Holders(public_keys(ring_key), ring_key_threshold),
        kernel,
        ring,
    )
    done = create(directory, first, signers_of(key))
    emit(settlement_document(done), lambda: settlement_lines(done))


PROPOSE_EXAMPLES = (
    (
        "suture repo propose patches root --remove old.pub --add new.pub",
        "replace a key of root that was lost",
    ),
    (
        "suture repo propose patches patches-6.1.0-51-amd64 --add release.pub",
        "publish for another kernel",
    ),
)


@repo.command("propose", examples=PROPOSE_EXAMPLES)
@tree_argument
@argument("role", metavar="ROLE", help=ROLE_HELP)
@option("--add", metavar="KEY.pub", multiple=True, help="A key that signs for it from then on.")
@option(
    "--remove", metavar="KEY.pub", multiple=True, help="A key that no longer does, or its keyid."
)
@option("--threshold", metavar="NUMBER", type=Number(1), help="How many keys have to sign.")
@days_option
@json_option
def propose(
    directory: Path,
    role: str,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    threshold: int | None,
    days: int | None,
) -> None:
    """Stage other keys, another threshold or lifetime of a role, or a new kernel or ring.

    Nothing changes before the holders of the role above have signed: of root for the first four,
    of targets for the others. A new root is signed by as many keys as the root before it says, and
    as it says itself.
    """
    from suture.repo.roles import RoleChange
    from suture.repo.roles import propose as stage

    gone = tuple(public_keys((one,))[0].keyid if one.endswith(".pub") else one for one in remove)
    made = stage(tree_of(directory), role, RoleChange(public_keys(add), gone, threshold, days))
    found = _overview(directory)
    emit({"staged": made, "changes": _changes(found)}, lambda: _staged(found))


@repo.command("sign")
@tree_argument
@key_option
@option("--yes", is_flag=True, help="Do not ask, even on a terminal.")
@json_option
def sign(directory: Path, key: tuple[str, ...], yes: bool) -> None:
    """Show what is staged, sign it for the roles of the given keys, and publish what is complete.

    To sign on another host, copy the repository's directory there, and the signed file from its
    directory 'staged' back: 'suture repo collect'.
    """
    from suture.repo.roles import sign_staged

    found = _overview(directory)
    if found.staged and not json_wanted.get():
        click.echo("\n".join(map(printable, _lines(found))), err=True)
        if sys.stdin.isatty() and not yes:
            click.confirm("Sign this?", abort=True, err=True)
    done = sign_staged(tree_of(directory), signers_of(key))
    document = settlement_document(done) | {"changes": _changes(found)}
    emit(document, lambda: settlement_lines(done))


@repo.command("collect")
@tree_argument
@argument("file", metavar="FILE", type=PATH, nargs=-1, required=True, help="Signed copies.")
@json_option
def collect(directory: Path, file: tuple[Path, ...]) -> None:
    """Take over signatures from copies of staged metadata that were signed on other hosts."""
    from suture.repo.roles import collect as take

    done = take(tree_of(directory), file)
    emit(settlement_document(done), lambda: settlement_lines(done))


@repo.command("drop")
@tree_argument
@argument("role", metavar="ROLE", help=ROLE_HELP)
@json_option
def drop(directory: Path, role: str) -> None:
    """Remove what is staged of a role."""
    from suture.repo.roles import drop as remove

    remove(tree_of(directory), role)
    emit({"dropped": role}, printable(f"What was staged of {role} is gone."))


@repo.command(
    "renew",
    examples=[("suture repo renew patches --key online.key", "each few hours, from a timer")],
)
@tree_argument
@argument("role", metavar="ROLE", nargs=-1, help="Roles to sign anew, due or not.")
@days_option
@key_option
@json_option
def renew(directory: Path, role: tuple[str, ...], days: int | None, key: tuple[str, ...]) -> None:
    """Sign anew what would expire: the timestamp and the snapshot, and other roles in the second
    half of their lives if their keys are at hand."""
    from suture.repo.roles import renew as again

    done = again(tree_of(directory), role, signers_of(key), days)
    emit(settlement_document(done), lambda: settlement_lines(done))


@repo.command("status")
@tree_argument
@option("--check", is_flag=True, help="Exit with status 1 if metadata has expired.")
@json_option
def status(directory: Path, check: bool) -> None:
    """Show a repository's roles, what waits for signatures, live patches, and what rings chose."""
    found = _overview(directory)
    document = {
        "path": found.path,
        "roles": found.roles,
        "expired": found.expired,
        "staged": [
            {"file": one.file, "signatures": one.signatures, "changes": one.changes}
            for one in found.staged
        ],
        "patches": found.patches,
        "withdrawn": [{"release": release, "entry": entry} for release, entry in found.withdrawn],
        "choices": found.choices,
    }
    emit(document, lambda: _for_people(found))
    if check and found.expired:
        raise click.exceptions.Exit(1)


def _overview(directory: Path) -> RepositoryOverview:
    from suture.repo.overview import overview

    return overview(tree_of(directory))


def _changes(found: RepositoryOverview) -> dict[str, tuple[str, ...]]:
    return {one.signatures.role: one.changes for one in found.staged}


def _lines(found: RepositoryOverview) -> list[str]:
    return [line for one in found.staged for line in one.changes]


def _staged(found: RepositoryOverview) -> Human:
    return printable("\n".join([*_lines(found), "", "Sign it: 'suture repo sign'."]))


def _for_people(found: RepositoryOverview) -> Human:
    rows = [
        (
            role.role,
            str(role.version),
            role.expires[:16].replace("T", " ") + (" EXPIRED" if role.is_expired else ""),
            f"{role.threshold} of {', '.join(role.holders)}",
        )
        for role in found.roles
    ]
    parts: list[Human] = [table(("role", "version", "expires (UTC)", "signed by"), rows)]
    for one in found.staged:
        lacking = f"; {one.signatures.missing} signatures missing" if one.signatures.missing else ""
        by = ", ".join(one.signatures.signed) or "nobody"
        parts += ["", printable(f"Staged in {one.file}, signed by {by}{lacking}:")]
        parts += [printable(line) for line in one.changes]
    if found.patches:
        about = [
            (
                patch.release,
                patch.name,
                patch.published[:10],
                patch.sha256[:12],
                " ".join(patch.cves),
            )
            for patch in found.patches
        ]
        parts += ["", table(("kernel", "live patch", "published", "sha256", "CVEs"), about)]
    for release, entry in found.withdrawn:
        parts.append(printable(f"{release}: {entry.name} was withdrawn: {entry.reason}"))
    if found.choices:
        parts += ["", table(("ring", "kernel", "live patch", "share", ""), _choices(found))]
    return in_parts(*parts)


def _condition(choice: RingChoice) -> str:
    if choice.halted:
        return "halted"
    return f"not before {choice.not_before}" if choice.not_before else ""


def _choices(found: RepositoryOverview) -> list[tuple[str, ...]]:
    return [
        (
            choice.ring,
            choice.release,
            choice.patch.name if choice.patch else "none",
            f"{choice.share / 100:g} %",
            _condition(choice),
        )
        for choice in found.choices
    ]
