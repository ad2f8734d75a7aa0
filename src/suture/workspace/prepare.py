# SPDX-License-Identifier: GPL-2.0-or-later
"""A target's source tree, prepared once: unpacked, configured, and ready to compile single files
and modules.

1. The target's compiler is looked up (`suture.workspace.compilers`); without it there is no
   workspace.
2. The source is unpacked (a packaged tar) or copied (a tree that the user built, which stays
   unchanged), and the patches of the kernel's own package are applied
   (`suture.workspace.filling`).
3. The target's ``.config`` and ``Module.symvers`` are added; kbuild must not change the
   configuration.
4. ``make modules_prepare`` runs with the target's release string; what it compiles for this host is
   taken from a neighbour where it is the same (`suture.workspace.host_programs`).
5. The environment in which kbuild compiles a file is captured (see `suture.workspace.kbuild`).
6. In the background, what patches to headers need is looked up in the whole tree
   (`suture.workspace.lookups`).

Everything is made under a temporary name and renamed when complete; under a lock, a second run
waits for the first.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from suture.errors import (
    DISK_FULL,
    SOURCE_MISMATCH,
    WORKSPACE_FAILED,
    Refusal,
)
from suture.host.files import (
    locked,
    new_directory,
    read_bytes,
    remove_unfinished,
    write_atomic,
)
from suture.host.paths import cache
from suture.host.progress import note, step
from suture.host.run import check
from suture.kernel.config import assignments
from suture.kernel.release import Target
from suture.sources.compiler import Compiler
from suture.workspace import (
    compilers,
    configuration,
    filling,
    host_programs,
    includes,
    kbuild,
    rust,
    sharing,
    source,
)

RECIPE = 3
"""Raised whenever this file makes a workspace in another way, so that no old one is taken for a new
one."""

PARALLEL = f"-j{os.cpu_count() or 1}"

_PREPARE = ("CONFIG_DEBUG_INFO_BTF=", rust.NO_RUST, "modules_prepare")
"""Without ``DEBUG_INFO_BTF``, for make alone (Kconfig and the compiler do not see it), the top
Makefile does not build ``tools/bpf/resolve_btfids`` with all of libbpf, a third of the whole;
``scripts/Makefile.modfinal`` uses it only where a ``vmlinux`` stands in the tree."""

IN_BACKGROUND = 19
"""How nice (nice(2)) the processes are that make what no build may need."""

TERMS = "terms"
"""A file of a workspace: what others that take from it have in common with it."""

TEMPORARY_SPACE = 64 << 20
"""Bytes; the assembly of the kernel's largest files takes some ten million."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A prepared tree.

    :ivar directory: holds the tree and the compiled objects of this workspace.
    :ivar tree: the target's source, configured; only kbuild writes into it, and only its products.
    :ivar environment: the variables that kbuild's top Makefile exports to the makefiles that
        compile.
    :ivar compiler: the target's compiler, this host's or unpacked beside it.
    """

    target: Target
    directory: Path
    tree: Path
    environment: Mapping[str, str]
    compiler: Compiler

    @property
    def name(self) -> str:
        """A digest of all inputs: workspaces of one name compile a file to the same bytes."""
        return self.directory.name

    def include_lines(self, *, of_c_files: bool = False) -> str:
        """Return the include lines of the tree, as `suture.workspace.includes.scan` found them."""
        kept = self.tree.parent / ("includes-of-c" if of_c_files else "includes")
        return read_bytes(kept).decode(errors="surrogateescape")


def prepare(target: Target) -> Workspace:
    """Return the workspace of `target` from the cache, or make it (some 40 seconds; half of
    that beside another kernel of its series, a quarter beside a flavour of the same version).

    :raises Refusal: ``compiler-mismatch``, ``config-differs``, ``source-missing``,
        ``source-mismatch``, ``source-damaged``, ``kbuild-unsupported``, ``workspace-failed``,
        ``disk-full``, ``tool-missing``, ``file-unreadable``
    """
    compiler = compilers.compiler(target.config, target.release)
    identity = source.identity(target.source)
    # kbuild names its directories by their real path, so ours is one.
    directory = cache().resolve() / "workspaces" / _name(target, compiler, identity)
    ready, made = directory / "ready", False
    if not ready.exists():
        with step("Preparing the workspace", target.release), locked(directory / "lock"):
            if not ready.exists():
                remove_unfinished(directory)
                _make(target, compiler, ready)
                # Again: a make that a killed run started may have written there meanwhile.
                remove_unfinished(directory)
                made = True
    environment: dict[str, str] = json.loads(read_bytes(ready / "environment"))
    workspace = Workspace(target, directory, ready / "tree", environment, compiler)
    if made:
        _begin_lookups(workspace)
    return workspace


def _begin_lookups(workspace: Workspace) -> None:
    """Begin what `suture.workspace.lookups` makes, in processes that outlive this one.

    Patches of C files alone do not need it, and it takes a minute of processor time.
    """
    for what in ("words", "objects"):
        process = subprocess.Popen(
            [sys.executable, "-m", "suture.workspace.lookups", what],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=workspace.directory,
            start_new_session=True,
        )
        assert process.stdin is not None
        with process.stdin as pipe, suppress(BrokenPipeError):
            pickle.dump(workspace, pipe)


def _name(target: Target, compiler: Compiler, identity: str) -> str:
    digest = hashlib.sha256()
    parts = (
        str(RECIPE).encode(),
        target.release.encode(),
        target.version.encode(),
        compiler.identity.encode(),
        identity.encode(),
        read_bytes(target.config),
        read_bytes(target.symvers),
        *(read_bytes(patch) for patch in target.patches),
    )
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return f"{target.release}-{digest.hexdigest()[:12]}"


def _make(target: Target, compiler: Compiler, ready: Path) -> None:
    _check_space(
        ready.parent,
        source.unpacked_size(target.source),
        "Suture unpacks the source tree to compile from it.",
    )
    # A compiler that cannot write its temporary files fails kbuild's tests of what it can do, and
    # nothing says so.
    _check_space(
        Path(tempfile.gettempdir()),
        TEMPORARY_SPACE,
        "The compiler and the linker write temporary files there.",
    )
    with (
        new_directory(ready) as work,
        sharing.held_neighbour(ready.parent, target.release, target.source) as neighbour,
    ):
        tree = work / "tree"
        tree.mkdir()
        terms = _terms(target)
        shared = filling.fill(target, tree, neighbour)
        # What was made in it, and not only its sources, is taken from one of the same terms.
        other = neighbour if neighbour is not None and _has_terms(neighbour, terms) else None
        source.check_kbuild(target, tree)
        tools = rust.stand_ins(assignments(read_bytes(target.config)), work / "rust")
        _run_kbuild(target, compiler, tools, tree, other)
        _check_release(target.release, tree)
        environment = kbuild.capture_environment(
            target.release, compiler, target.arch.build.flags, tree, tools
        )
        lines = _include_lines(tree, environment["SRCARCH"], shared, other)
        write_atomic(work / "includes", lines.encode(errors="surrogateescape"))
        write_atomic(
            work / "includes-of-c", includes.of_c_files(lines).encode(errors="surrogateescape")
        )
        write_atomic(work / TERMS, terms.encode())
        # Last: what kbuild makes later is newer than this file (suture.workspace.original).
        moved = {name: value.replace(str(work), str(ready)) for name, value in environment.items()}
        write_atomic(work / "environment", json.dumps(moved).encode())


def _terms(target: Target) -> str:
    """Return text that is the same for workspaces that may take from each other what they have
    made."""
    return f"{RECIPE} {target.arch.name} {host_programs.identity()}"


def _has_terms(tree: Path, terms: str) -> bool:
    try:
        return (tree.parent / TERMS).read_text() == terms
    except FileNotFoundError:  # it was made by an earlier version
        return False


def _taken_programs(target: Target, tree: Path, other: Path) -> list[Path]:
    """Return the products of kbuild for this host that the tree now has from another."""
    ours, theirs = (assignments(read_bytes(one)) for one in (target.config, other / ".config"))

    def same_options(names: Iterable[str]) -> bool:
        return all(ours.get(f"CONFIG_{name}") == theirs.get(f"CONFIG_{name}") for name in names)

    with step("Taking kbuild's programs", str(other.parent.parent.name)):
        return host_programs.take(tree, other, same_options)


def _include_lines(tree: Path, architecture: str, shared: set[str], other: Path | None) -> str:
    with step("Reading the include lines"):
        if other is None:
            return includes.scan(tree, architecture)
        lines = read_bytes(other.parent / "includes").decode(errors="surrogateescape")
        return includes.scan_beside(tree, architecture, shared, lines)


def _run_kbuild(
    target: Target, compiler: Compiler, tools: Sequence[str], tree: Path, other: Path | None
) -> None:
    """Configure and prepare the tree, with what it can take from another.

    :param tools: make's variables of the stand-ins for Rust's tools.
    """
    taken = [] if other is None else _taken_programs(target, tree, other)
    try:
        _configure_and_prepare(target, compiler, tools, tree, taken)
    except Refusal as refusal:
        if refusal.kind != WORKSPACE_FAILED or not taken:
            raise
        note("With programs of another workspace kbuild fails; they are compiled again")
        for path in taken:
            path.unlink(missing_ok=True)
        _configure_and_prepare(target, compiler, tools, tree)


def _configure_and_prepare(
    target: Target,
    compiler: Compiler,
    tools: Sequence[str],
    tree: Path,
    taken: Sequence[Path] = (),
) -> None:
    """Configure the tree as the target is, and prepare it.

    :param taken: products in it that are to be used.
    """

    def make(*words: str) -> None:
        command = kbuild.make_command(target.release, compiler, *tools, PARALLEL, *words)
        environment = kbuild.clean_environment()
        check(command, where=target.release, kind=WORKSPACE_FAILED, cwd=tree, env=environment)

    with step("Configuring", target.release):
        shipped = read_bytes(target.config)
        write_atomic(tree / ".config", shipped)
        write_atomic(tree / "Module.symvers", read_bytes(target.symvers))
        host_programs.touch(taken)
        try:
            # The first step of `modules_prepare`; it fails where the configuration leaves options
            # open, as those of another compiler.
            make("syncconfig")
        except Refusal as refusal:
            if refusal.kind != WORKSPACE_FAILED:
                raise
            make("olddefconfig", "syncconfig")
        configuration.check_same(
            target.release,
            shipped,
            read_bytes(tree / ".config"),
            same_compiler=compiler.is_exact,
        )
    with step("Preparing kbuild", "modules_prepare"):
        host_programs.touch(taken)  # newer than the configuration
        make(*_PREPARE)


def _check_release(release: str, tree: Path) -> None:
    """Check the tree's release string: a module with another one in its vermagic does not load
    (``kernel/module/version.c``)."""
    text = (tree / "include/generated/utsrelease.h").read_text()
    if f'#define UTS_RELEASE "{release}"' not in text:
        raise Refusal(SOURCE_MISMATCH, release, f"the prepared tree has {text.strip()}")


def _check_space(directory: Path, needed: int, why: str) -> None:
    """Refuse a full disk before the work starts."""
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < needed:
        mebibyte = 1 << 20
        raise Refusal(
            DISK_FULL,
            str(directory),
            f"{free // mebibyte} MiB free, about {needed // mebibyte} MiB needed",
            why=why,
        )
