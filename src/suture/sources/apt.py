# SPDX-License-Identifier: GPL-2.0-or-later
"""apt as a library: packages in its lists, downloads to a chosen directory, and unpacking.

It knows nothing of kernels: any source with ``.deb`` packages can use it.  It uses apt's own
commands, so that the user's sources, proxies and keys apply, and downloads are verified against the
signed index (apt-secure(8)).  It needs no root rights.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from suture.errors import (
    ARCHIVE_UNREACHABLE,
    DISK_FULL,
    PACKAGE_CORRUPT,
    PACKAGE_UNTRUSTED,
    SUITE_NOT_FOUND,
    Kind,
    Refusal,
)
from suture.host import files, run, tar
from suture.host.progress import advance, step
from suture.host.tar import TarDamaged

if TYPE_CHECKING:
    from debian.deb822 import Deb822

POLL_SECONDS = 0.2

UPDATE = "sudo apt-get update"

UNREACHABLE = replace(
    ARCHIVE_UNREACHABLE,
    remedy=f"Check the network and the apt sources, run '{UPDATE}', and run the same command "
    "again.",
)
UNTRUSTED = replace(
    PACKAGE_UNTRUSTED,
    remedy=f"Install the archive's key as 'Signed-By' of its source, and run '{UPDATE}'.",
)
SUITE_UNREACHABLE = replace(
    ARCHIVE_UNREACHABLE,
    remedy="Check the network and the apt sources, and run the same command again: Suture gets new "
    "package lists first.",
)
SUITE_UNTRUSTED = replace(
    PACKAGE_UNTRUSTED,
    remedy="Install the keys of newer archives (the package debian-archive-keyring, in its newest "
    "version), and run the same command again.",
)


@dataclass(frozen=True, slots=True)
class AptConfiguration:
    """The archives that apt's commands work on.

    :ivar name: for messages.
    :ivar options: what every command gets before its own words.
    :ivar stamp: a file whose time is that of the last update; None for the host's own lists, which
        Suture does not update.
    """

    name: str
    options: tuple[str, ...] = ()
    stamp: Path | None = None

    @property
    def unreachable(self) -> Kind:
        """The refusal when the archive does not answer, with the way out."""
        return UNREACHABLE if self.stamp is None else SUITE_UNREACHABLE

    @property
    def untrusted(self) -> Kind:
        """The refusal of what is not signed, with the way out."""
        return UNTRUSTED if self.stamp is None else SUITE_UNTRUSTED

    def command(self, program: str, *words: str) -> list[str]:
        """Return the command of one of apt's programs."""
        return [program, *self.options, *words]


HOST = AptConfiguration("apt")
"""What this host's apt is configured for."""

APT_HELPER = "/usr/lib/apt/apt-helper"
"""Reads a list however it is compressed (``Acquire::GzipIndexes``)."""

FIELDS = ("Package", "Version", "Architecture", "Size", "SHA256")
ARCHITECTURES = ("amd64", "all")
"""Architectures of usable packages; apt may have lists of others too (``dpkg
--add-architecture``)."""


@dataclass(frozen=True, slots=True)
class AptPackage:
    """One version of a binary package in the archive's index.

    :ivar size: bytes of the ``.deb``.
    :ivar sha256: the digest of the ``.deb``, in hexadecimal.
    :ivar depends: its dependencies, in the control file's form (``linux-binary-6.19.2-amd64 (=
        6.19.2-1), kmod``).
    :ivar source: the source package that it was built from (``linux-6.12`` for
        ``linux-source-6.12``).
    """

    name: str
    version: str
    architecture: str
    size: int
    sha256: str
    depends: str = ""
    source: str = ""

    @property
    def file_name(self) -> str:
        """The file's name after ``apt-get download``, which escapes the colon of an epoch."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


def is_installed() -> bool:
    """Whether this host has apt."""
    return shutil.which("apt-get") is not None


def packages(name: str, archives: AptConfiguration = HOST) -> tuple[AptPackage, ...]:
    """Return every version of the packages in apt's lists with a name that matches a pattern.

    The lists themselves are read: ``apt-cache show`` unpacks a list from its start for each record.

    :raises Refusal: ``archive-unreachable``, ``tool-missing``
    """
    from debian.deb822 import Deb822

    line = re.compile(rf"^Package: {name}$", re.MULTILINE)
    found: dict[AptPackage, None] = {}
    for path in _lists(archives):
        text = run.check(
            [APT_HELPER, "cat-file", path], where=archives.name, kind=archives.unreachable
        ).stdout
        for match in line.finditer(text):
            package = _package(Deb822(_paragraph(text, match.start())))
            if package is not None:
                found[package] = None  # the same version is often in several archives
    return tuple(found)


def download(
    packages: Sequence[AptPackage], directory: Path, archives: AptConfiguration = HOST
) -> None:
    """Download packages to a directory, each under its `AptPackage.file_name`, complete and
    verified.

    Packages that are there are not downloaded again; a damaged one is replaced.

    :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
        ``disk-full``
    """
    with files.locked(directory / ".lock"):
        files.remove_unfinished(directory)
        missing = [
            package
            for package in packages
            if not is_complete(package, directory / package.file_name)
        ]
        if not missing:
            return
        total = sum(package.size for package in missing)
        _need_space(directory, total)
        with (
            step("Downloading", f"{len(missing)} packages, {total / 1e6:.0f} MB"),
            work_directory(directory) as work,
        ):
            with _watched(work, total):
                names = [f"{package.name}={package.version}" for package in missing]
                command = archives.command("apt-get", "download", *names)
                finished = run.run(command, cwd=work, env=environment())
            for package in missing:
                if is_complete(package, work / package.file_name):
                    os.rename(work / package.file_name, directory / package.file_name)
            if finished.status != 0:
                raise failure(finished, archives, "apt-get download")
            for package in missing:
                if not (directory / package.file_name).exists():
                    raise Refusal(
                        PACKAGE_CORRUPT,
                        package.file_name,
                        "the download does not match the index",
                    )


PRINTED = re.compile(r"'[^']*' (?P<name>[^_\s]+)_(?P<version>[^_\s]+)_(?P<architecture>\w+)\.deb ")
"""A line of ``apt-get --print-uris``; an epoch's colon is escaped."""


def closure(names: Sequence[str], archives: AptConfiguration) -> tuple[AptPackage, ...]:
    """Return packages and all that they depend on, in the versions that apt would install on the
    configuration's system.

    A package with a version gets the packages of the same upload in the same version, of which the
    archive may have newer ones too: ``gcc-14=14.2.0-19`` needs ``cpp-14`` of 14.2.0-19.

    :param names: ``gcc-14`` or ``gcc-14=14.2.0-19``.
    :raises Refusal: ``archive-unreachable``, ``tool-missing``
    """
    options = ("-qq", "--no-install-recommends", "--print-uris")
    where = f"apt-get install ({archives.name})"
    with files.temporary_directory() as scratch:
        pins = Path(scratch, "preferences")
        pins.write_text("\n".join(map(_pin, names)))
        preferred = ("-o", f"Dir::Etc::preferences={pins}")
        command = archives.command("apt-get", "install", *preferred, *options, *names)
        finished = run.check(command, where=where, kind=archives.unreachable, env=environment())
    printed = finished.stdout
    wanted = {
        (match["name"], match["version"].replace("%3a", ":")) for match in PRINTED.finditer(printed)
    }
    pattern = "|".join(re.escape(name) for name, _ in sorted(wanted))
    found = [
        package
        for package in packages(f"(?:{pattern})", archives)
        if (package.name, package.version) in wanted
    ]
    missing = wanted - {(package.name, package.version) for package in found}
    if missing or not wanted:
        named = ", ".join(f"{name}={version}" for name, version in sorted(missing))
        text = f"the package lists lack {named}" if missing else "apt names no package to install"
        raise Refusal(archives.unreachable, where, text)
    return tuple(found)


def _pin(name: str) -> str:
    """Return the entry of apt_preferences(5) by which all packages of a version are preferred to
    newer ones."""
    _, _, version = name.partition("=")
    return f"Package: /./\nPin: version {version}\nPin-Priority: 1001\n" if version else ""


def is_complete(package: AptPackage, path: Path) -> bool:
    """Whether a file is exactly the package that the archive's index describes."""
    try:
        if path.stat().st_size != package.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == package.sha256
    except FileNotFoundError:
        return False


def unpack(package: AptPackage, directory: Path, into: Path) -> None:
    """Unpack a package from the directory of `download`, without installing it; files that are
    already below `into` stay.

    :raises Refusal: ``package-corrupt``, ``disk-full``, ``tool-missing``
    """
    deb = directory / package.file_name
    try:
        run.check(["dpkg-deb", "-x", deb, into], where=package.file_name, kind=PACKAGE_CORRUPT)
    except Refusal as error:
        if error.kind is PACKAGE_CORRUPT:
            deb.unlink(missing_ok=True)  # so that the next run downloads it again
        raise


def unpack_only(package: AptPackage, directory: Path, into: Path, names: Collection[str]) -> None:
    """Unpack some files of a package from the directory of `download`; those that it does not have
    are passed over.

    :raises Refusal: ``package-corrupt``, ``disk-full``, ``tool-missing``
    """
    deb = directory / package.file_name
    try:
        with run.streamed(["dpkg-deb", "--fsys-tarfile", deb]) as stream:
            for member in tar.members(stream):
                name = member.path.removeprefix("./")
                if name in names and member.kind == tar.FILE:
                    files.write_atomic(into / name, member.content, durable=False)
    except TarDamaged as error:
        deb.unlink(missing_ok=True)  # so that the next run downloads it again
        raise Refusal(PACKAGE_CORRUPT, package.file_name, str(error)) from error


def update(archives: AptConfiguration) -> Refusal | None:
    """Get the package lists anew, and return what was wrong with any of them: ``suite-not-found``,
    ``package-untrusted``, ``archive-unreachable`` or ``disk-full``.  Lists of before stay where no
    new one comes.

    :raises Refusal: ``tool-missing``
    """
    command = archives.command("apt-get", "update", "--error-on=any")
    finished = run.run(command, env=environment())
    return None if finished.status == 0 else failure(finished, archives, "apt-get update")


def listed_suites(archives: AptConfiguration, contents: str = "Packages") -> frozenset[str]:
    """Return the suites with a list that has been downloaded, by the names in the sources.

    :param contents: ``Packages``, or ``Sources`` for source packages.
    :raises Refusal: ``archive-unreachable``, ``tool-missing``
    """
    return frozenset(_targets(archives, "$(RELEASE)", contents))


def origins(archives: AptConfiguration) -> dict[str, str]:
    """Return whose archives those with lists say that they are (``Origin``), by their address
    without a slash at its end.

    :raises Refusal: ``archive-unreachable``, ``tool-missing``
    """
    pairs = (line.split(" ", 1) for line in _targets(archives, "$(REPO_URI) $(ORIGIN)"))
    return {uri.rstrip("/"): origin for uri, origin in pairs}


def _lists(archives: AptConfiguration) -> list[str]:
    """Return the files of apt's package lists."""
    return [path for path in _targets(archives, "$(FILENAME)") if os.path.exists(path)]


def _targets(archives: AptConfiguration, form: str, contents: str = "Packages") -> list[str]:
    """Return a line for each list that has been downloaded (apt-get(8), ``indextargets``)."""
    command = archives.command(
        "apt-get", "indextargets", "--format", form, f"Created-By: {contents}"
    )
    finished = run.check(command, where=archives.name, kind=archives.unreachable, env=environment())
    return finished.stdout.splitlines()


def _paragraph(text: str, position: int) -> str:
    end = text.find("\n\n", position)
    return text[text.rfind("\n\n", 0, position) + 1 : len(text) if end < 0 else end]


def _package(paragraph: Deb822) -> AptPackage | None:
    if (
        any(field not in paragraph for field in FIELDS)
        or paragraph["Architecture"] not in ARCHITECTURES
    ):
        return None
    return AptPackage(
        paragraph["Package"],
        paragraph["Version"],
        paragraph["Architecture"],
        int(paragraph["Size"]),
        paragraph["SHA256"].lower(),
        paragraph.get("Depends", ""),
        # ``linux-signed-amd64 (6.1.176+1)`` names a version where it is another than the package's.
        paragraph.get("Source", paragraph["Package"]).partition(" ")[0],
    )


def _need_space(directory: Path, size: int) -> None:
    """Refuse a download that does not fit; from a ``file:`` archive, apt would truncate a package
    without an error."""
    free = shutil.disk_usage(directory).free
    if free < size:
        raise Refusal(
            DISK_FULL,
            str(directory),
            f"{size / 1e6:.1f} MB are needed, {free / 1e6:.1f} MB are free",
        )


def environment() -> dict[str, str]:
    """Return the environment of apt's commands; `failure` reads what they print in it."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


OUTDATED = re.compile(r"\b404\b")


def _failures(archives: AptConfiguration) -> Iterator[tuple[re.Pattern[str], Kind, str]]:
    """Yield pattern in apt's output, refusal, and what was found; the first match counts."""
    yield (
        re.compile(r"No space left on device|enough free space"),
        DISK_FULL,
        "the packages do not fit",
    )
    yield (
        re.compile(r"NO_PUBKEY|EXPKEYSIG|verification failed|couldn't be verified"),
        archives.untrusted,
        "the archive is signed with a key that this host does not have",
    )
    yield (
        re.compile(r"could not be authenticated|unauthenticated|is not signed"),
        archives.untrusted,
        "the archive is not signed",
    )
    yield (
        re.compile(r"Hash Sum mismatch|unexpected size|Size mismatch"),
        PACKAGE_CORRUPT,
        "a package does not match the index",
    )
    yield (
        re.compile(
            r"does not have a Release file"
            r"|/(?:Release|Packages|Sources)\b.*(?:404|not found|No such file)"
        ),
        SUITE_NOT_FOUND,
        "the archive does not have all of it",
    )
    yield (
        re.compile(r"is expired \(invalid since"),
        archives.unreachable,
        "the archive's lists have expired (Valid-Until): nobody updates that mirror any more",
    )
    yield (
        OUTDATED,
        archives.unreachable,
        "the archive does not have what apt's lists name: they are out of date, or this mirror of "
        "it is not complete",
    )


def failure(finished: run.Finished, archives: AptConfiguration, where: str) -> Refusal:
    """Return the refusal for a command that failed; lists that turn out to be out of date are
    refreshed by the next run."""
    # As root, apt prints that its unprivileged helper cannot write to the directory, and downloads
    # anyway.
    lines = [line for line in finished.stderr.splitlines() if "unsandboxed" not in line]
    evidence = lines[-run.EVIDENCE_LINES :]
    if archives.stamp is not None:
        where = f"{where} ({archives.name})"
    for pattern, kind, found in _failures(archives):
        if any(pattern.search(line) for line in lines):
            if pattern is OUTDATED and archives.stamp is not None:
                archives.stamp.unlink(missing_ok=True)
            return Refusal(kind, where, found, evidence=evidence)
    found = f"it exited with status {finished.status}"
    return Refusal(archives.unreachable, where, found, evidence=evidence)


@contextmanager
def work_directory(parent: Path) -> Iterator[Path]:
    """Make a directory for downloads, and remove it at the end."""
    try:
        work = Path(tempfile.mkdtemp(prefix=files.TEMPORARY, dir=parent))
    except OSError as error:
        raise files.cannot_write(parent, error) from error
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _watched(directory: Path, total: int) -> Iterator[None]:
    """Report how many of `total` bytes are in a directory while the block runs."""
    done = threading.Event()

    def watch() -> None:
        """Report until the block has ended."""
        while not done.wait(POLL_SECONDS):
            advance(min(total, sum(_size(path) for path in directory.rglob("*"))), total)

    # The reporter is a context variable, which a new thread does not inherit.
    thread = threading.Thread(target=copy_context().run, args=(watch,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # renamed by apt meanwhile
        return 0
