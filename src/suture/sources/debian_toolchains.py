# SPDX-License-Identifier: GPL-2.0-or-later
"""The compilers of Debian's suites, unpacked beside the host's.

1. apt resolves the compiler's dependencies for a system on which nothing is installed
   (`suture.sources.debian_suites`), so the packages include its libc.
2. The packages are downloaded, verified, and unpacked into one directory.
3. ``patchelf`` of the same suite names, in each program, the loader and the libraries of that
   directory.  Programs then run as they are, by any path, and under their own names: the kernel's
   configuration has the name of the compiler.
4. GCC finds ``as`` and ``ld`` in the directory of its target's tools (GCC internals, "Collect2";
   ``gcc/gcc.cc: tooldir_prefix``), where Debian's binutils are not; links there lead to them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.errors import COMMAND_FAILED, Refusal
from suture.host import files, run
from suture.host.progress import step
from suture.sources import apt, debian_suites, downloads
from suture.sources.apt import AptConfiguration, AptPackage
from suture.sources.compiler import UnpackedCompiler, load, split, toolchains

RECIPE = 1
"""Raised whenever this file makes a toolchain in another way."""

COMPILER_TEXT = re.compile(
    r"(?P<command>\S*?(?P<package>gcc-\d+))(?: \(Debian (?P<version>\S+)\) .*)?$"
)
"""``CONFIG_CC_VERSION_TEXT``: ``x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0``; before a
kernel is fetched, only ``gcc-14`` is known."""

PATCHELF = "patchelf"
NO_SORT = "--no-sort"
BINUTILS = "binutils"

PROGRAMS = ("usr/bin", "usr/libexec/gcc", "usr/lib/gcc")
"""The directories with programs that are run; ``libc.so.6`` is one too, and stays as it is."""

INTERPRETER = re.compile(rb"/lib\d*/ld[\w.-]*\.so\.\d\x00")
"""The loader that a program names, near its start (elf(5), ``PT_INTERP``)."""

HEAD = 4096
"""Bytes within which linkers put it."""

BIN = "usr/bin"


@dataclass(frozen=True, slots=True)
class DebianToolchain:
    """The `suture.sources.source.CompilerOffer` of Debian: a compiler package in a suite.

    :ivar command: the name of the compiler's program.
    :ivar is_exact: the package is the one that built the kernel; else another build of the same
        version of GCC.
    """

    command: str
    package: AptPackage
    suite: str
    archives: AptConfiguration
    is_exact: bool

    @property
    def name(self) -> str:
        """The package and its suite: ``gcc-14=14.2.0-19 of Debian trixie``."""
        return f"{self.package.name}={self.package.version} of Debian {self.suite}"

    def get(self) -> UnpackedCompiler:
        """Download, verify and unpack it with all that it needs, or return what was unpacked
        before.

        :raises Refusal: ``archive-unreachable``, ``package-corrupt``, ``package-untrusted``,
            ``disk-full``, ``tool-missing``, ``command-failed``
        """
        wanted = [f"{self.package.name}={self.package.version}", BINUTILS, PATCHELF]
        packages = apt.closure(wanted, self.archives)
        final = toolchains() / f"{self.package.name}-{_digest(packages)}"
        with files.locked(toolchains() / ".lock"):
            present = load(final)
            if present is not None:
                return present
            files.remove_unfinished(toolchains())
            shutil.rmtree(final, ignore_errors=True)  # it has no manifest
            kept = downloads.directory()
            with downloads.held():
                apt.download(packages, kept, self.archives)
                with (
                    step("Unpacking the compiler", self.name),
                    files.new_directory(final) as work,
                ):
                    for package in packages:
                        apt.unpack(package, kept, work)
                    _make_runnable(work, final)
            made = self._checked(final, packages)
            downloads.drop([kept / package.file_name for package in packages])
            return made

    def _checked(self, final: Path, packages: Sequence[AptPackage]) -> UnpackedCompiler:
        """Run the compiler at its final place, and record it.

        :raises Refusal: ``command-failed``
        """
        command = final / BIN / self.command
        version = run.check([command, "--version"], env=_ENVIRONMENT).stdout.partition("\n")[0]
        self._compile_something(command)
        for tool in ("as", "ld", "cc1"):
            found = run.check([command, f"-print-prog-name={tool}"], env=_ENVIRONMENT).stdout
            if not Path(found.strip()).resolve().is_relative_to(final.resolve()):
                where = f"the unpacked {self.command}"
                raise Refusal(COMMAND_FAILED, where, f"it would run {found.strip()} of this host")
        made = UnpackedCompiler(
            final,
            split(version.strip())[1],
            self.command,
            BIN,
            f"Debian {self.suite}",
            {package.name: package.version for package in packages},
        )
        made.save(final)
        return made

    def _compile_something(self, command: Path) -> None:
        with files.temporary_directory() as scratch:
            source = Path(scratch, "empty.c")
            source.write_text("int empty(void) { return 0; }\n")
            words: list[str | Path] = [command, "-O2", "-c", source, "-o", source.with_suffix(".o")]
            run.check(words, where=self.name, env=_ENVIRONMENT)


_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}


def offers(wanted: str, release: str, *, refresh: bool = True) -> Iterator[DebianToolchain]:
    """Yield the toolchains for a kernel: the exact one, or else others of the same version of GCC,
    the likeliest first.

    :param wanted: the kernel's ``CONFIG_CC_VERSION_TEXT``, or only the compiler's name.
    :param refresh: False to work with the lists that are here.
    :raises Refusal: as `suture.sources.debian_suites.SuiteLists.refreshed`, if no suite answers
    """
    text = COMPILER_TEXT.match(wanted)
    if text is None:
        return
    others, refusals = [], []
    for suite in _suites(release):
        try:
            archives = _archives(suite, refresh=refresh)
        except Refusal as refusal:
            refusals.append(refusal)
            continue
        if archives is None:
            continue
        for package in apt.packages(re.escape(text["package"]), archives):
            exact = package.version == text["version"]
            if exact or _is_near(package.version, text["version"]):
                found = DebianToolchain(text["command"], package, suite, archives, exact)
                if exact:
                    yield found
                    return
                others.append(found)
    yield from others
    if refusals and not others:
        raise refusals[0]


def _archives(suite: str, *, refresh: bool) -> AptConfiguration | None:
    lists = debian_suites.lists(suite)
    return lists.refreshed() if refresh else lists.kept()


def _suites(release: str) -> tuple[str, ...]:
    """Return all suites, first those that the kernel is from."""
    return tuple(dict.fromkeys((*debian_suites.suites_of(release), *debian_suites.names())))


def _is_near(version: str, wanted: str | None) -> bool:
    return wanted is None or _upstream(version) == _upstream(wanted)


def _upstream(version: str) -> str:
    """Return GCC's own version: 14.2.0 of ``14.2.0-19``, 12.2.0 of ``12.2.0-14+deb12u1``."""
    return version.rpartition("-")[0]


def _digest(packages: Sequence[AptPackage]) -> str:
    digest = hashlib.sha256(f"{RECIPE}\n".encode())
    for package in sorted(packages, key=lambda package: package.name):
        digest.update(f"{package.name} {package.sha256}\n".encode())
    return digest.hexdigest()[:12]


def _make_runnable(work: Path, final: Path) -> None:
    """Let the programs below `work` run once it is renamed to `final`.

    :raises Refusal: ``command-failed``
    """
    loader, libraries = _libc(work)
    here = ":".join(str(work / path) for path in libraries)
    there = ":".join(str(final / path) for path in libraries)
    # Not patched itself, patchelf is run by its loader.
    patchelf: list[str | Path] = [work / loader, "--library-path", here, work / BIN / PATCHELF]
    # DT_RPATH, unlike DT_RUNPATH, counts for the libraries of libraries as well (ld.so(8)).
    names = ["--set-interpreter", str(final / loader), "--force-rpath", "--set-rpath", there]
    # As patchelf 0.18 sorts the program headers, Debian 13's cc1 does not start any more; versions
    # before have no such option, and do not sort.
    known = run.check([*patchelf, "--help"], env=_ENVIRONMENT)
    names += [NO_SORT] * (NO_SORT in known.stdout + known.stderr)
    for program in _programs(work):
        run.check([*patchelf, *names, program], where=program.name, env=_ENVIRONMENT)
    _link_tools(work)


def _libc(work: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return the paths, below the directory, of the loader and of the directories with libraries.
    Debian 12's libc6 has them in ``lib/TRIPLET``, Debian 13's below ``usr``."""
    libc = next(path for path in work.glob("**/libc.so.6") if path.parent.parent.name == "lib")
    triplet = libc.parent.name
    loader = next(path for path in sorted(libc.parent.glob("ld[-6]*.so.[0-9]")) if path.is_file())
    names = (f"usr/lib/{triplet}", f"lib/{triplet}", f"usr/lib/{triplet}/libctf")
    directories = tuple(Path(name) for name in names if (work / name).is_dir())
    return loader.relative_to(work), directories


def _programs(work: Path) -> Iterator[Path]:
    for top in PROGRAMS:
        for path in sorted((work / top).rglob("*")):
            is_one = path.is_file() and not path.is_symlink() and path.name != PATCHELF
            if is_one and _names_a_loader(path):
                yield path


def _names_a_loader(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(HEAD)
    return head.startswith(b"\x7fELF") and INTERPRETER.search(head) is not None


def _link_tools(work: Path) -> None:
    """Put the binutils where GCC looks for them before the PATH."""
    for gcc in (work / "usr/lib/gcc").iterdir():
        tools = work / "usr" / gcc.name / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        for name in ("as", "ld", "nm", "ar", "objcopy", "strip", "ranlib"):
            if (work / BIN / name).exists() and not (tools / name).exists():
                (tools / name).symlink_to(f"../../bin/{name}")
