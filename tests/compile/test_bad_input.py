# SPDX-License-Identifier: GPL-2.0-or-later
"""Targets, files and file systems that are not as they should be, met by the real command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from suture.host import distributions
from suture.kernel import modules
from suture.kernel.release import Target
from suture.workspace.prepare import Workspace
from tests.command import Place
from tests.examples import shows
from tests.patches import Edit, diff

MEMINFO, LOOP = "fs/proc/meminfo.c", "drivers/block/loop.c"
NEW_TOTAL = Edit(MEMINFO, '"MemTotal:       "', '"SutTotal:       "')
NEW_LIMIT = Edit(
    LOOP, "\tlo->lo_sizelimit = info->lo_sizelimit;", "\tlo->lo_sizelimit = info->lo_sizelimit + 1;"
)

WITHOUT_PRIVILEGES = (
    ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
)
"""Root may write and read everything; without capabilities it may do so only where the modes
say."""


@pytest.fixture
def patched(place: Place, workspace: Workspace) -> Place:
    """A place with a good ``my.patch``."""
    place.patch(diff(workspace.tree, NEW_TOTAL))
    return place


# --- the target -------------------------------------------------------------------------------------------------------


OWN = distributions.here().compiler
MAJOR = OWN.rpartition("-")[2]


def config(place: Place, option: str, line: str) -> Path:
    """The target's configuration with another line for one option."""
    text, count = re.subn(
        rf"^{option}=.*$", line, place.target.config.read_text(), flags=re.MULTILINE
    )
    assert count == 1
    edited = place.base.parent / "config"
    edited.write_text(text)
    return edited


def test_a_kernel_without_the_livepatch_core(patched: Place) -> None:
    patched.with_parts(config=config(patched, "CONFIG_LIVEPATCH", "# CONFIG_LIVEPATCH is not set"))
    error = patched.refused(*patched.build("my.patch"))
    shows(error, "no-livepatch")
    assert error.where == patched.target.release


@pytest.mark.parametrize(
    ("compiler", "shown"),
    [
        (f"{OWN} (Debian {MAJOR}.1.0-1) {MAJOR}.1.0", f"here:   {OWN} (Debian {MAJOR}."),
        ("gcc-99 (Debian 99.1.0-1) 99.1.0", "here:   none: gcc-99 is not installed"),
    ],
)
def test_another_compiler_than_the_targets(patched: Place, compiler: str, shown: str) -> None:
    patched.with_parts(
        config=config(patched, "CONFIG_CC_VERSION_TEXT", f'CONFIG_CC_VERSION_TEXT="{compiler}"')
    )
    error = patched.refused(*patched.build("my.patch"))
    assert (error.code, error.where) == ("compiler-mismatch", compiler.split()[0])
    assert f"target: {compiler}" in error.evidence
    assert any(line.startswith(shown) for line in error.evidence)


def test_a_kernel_that_was_not_fetched(patched: Place) -> None:
    (patched.cache / "kernels").unlink()
    error = patched.refused(*patched.build("my.patch"))
    assert (error.code, error.where) == ("kernel-not-fetched", patched.target.release)
    assert f"suture kernel fetch {patched.target.release}" in error.remedy


@pytest.mark.parametrize("release", ["no-such-kernel", "../../etc", "", "6.1.0-50-amd64\x1b[2J"])
def test_a_kernel_that_nobody_knows(patched: Place, release: str) -> None:
    error = patched.refused("build", "my.patch", "--kernel", release)
    assert error.code == "kernel-not-fetched"


@pytest.mark.parametrize("part", ["source", "vmlinux", "symvers"])
def test_a_kernel_that_has_lost_a_part_has_to_be_fetched_again(
    patched: Place, tmp_path: Path, part: str
) -> None:
    (tmp_path / part).write_bytes(b"to be removed")
    patched.with_parts(**{part: tmp_path / part})
    (tmp_path / part).unlink()
    error = patched.refused(*patched.build("my.patch"))
    assert (error.code, error.where) == ("kernel-not-fetched", patched.target.release)


@pytest.mark.parametrize("directory", ["/", "/nonexistent", "/etc/passwd"])
def test_a_directory_that_is_no_built_kernel_tree(patched: Place, directory: str) -> None:
    error = patched.refused("build", "my.patch", "--kernel-dir", directory)
    assert (error.code, error.where) == ("tree-incomplete", directory)


# --- damaged and foreign files ----------------------------------------------------------------------------------------


def cut(path: Path, directory: Path, size: int) -> Path:
    """A copy of the first `size` bytes."""
    copy = directory / path.name
    with path.open("rb") as file:
        copy.write_bytes(file.read(size))
    return copy


@pytest.mark.parametrize("size", [0, 100, 5_000_000])
def test_an_image_that_is_cut_off(patched: Place, tmp_path: Path, size: int) -> None:
    image = cut(patched.target.vmlinux, tmp_path, size)
    patched.with_parts(vmlinux=image)
    error = patched.refused(*patched.build("my.patch"))
    assert (error.code, error.where) == ("image-malformed", str(image))


def test_an_image_that_is_something_else(patched: Place) -> None:
    patched.with_parts(vmlinux=Path("/bin/true").resolve())
    assert patched.refused(*patched.build("my.patch")).code == "image-malformed"


def test_symbols_of_another_kernel(patched: Place, tmp_path: Path) -> None:
    """They lead into the middle of other functions."""
    moved = re.sub(
        rb"^[0-9a-f]{16}",
        lambda a: b"%016x" % (int(a[0], 16) + 48),
        patched.target.kallsyms.read_bytes(),
        flags=re.M,
    )
    (tmp_path / "kallsyms").write_bytes(moved)
    patched.with_parts(kallsyms=tmp_path / "kallsyms")
    assert patched.refused(*patched.build("my.patch")).code == "pre-image-mismatch"


@pytest.mark.parametrize("content", [b"", b"no symbols\n", bytes(range(256))])
def test_symbols_that_are_none(patched: Place, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kallsyms").write_bytes(content)
    patched.with_parts(kallsyms=tmp_path / "kallsyms")
    assert patched.refused(*patched.build("my.patch")).code == "kallsyms-malformed"


@pytest.fixture
def module(target: Target, tmp_path: Path) -> Path:
    """The file of loop, uncompressed, in a directory of its own."""
    path = tmp_path / "modules/loop.ko"
    path.parent.mkdir()
    path.write_bytes(modules.read(modules.index(target)["loop"]))
    return path


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda data: data[: len(data) // 2],
    "cut off in its header": lambda data: data[:40],
    "empty": lambda data: b"",
    "no ELF file": lambda data: b"#!/bin/sh\n",
    "an xz file that is cut off": lambda data: b"\xfd7zXZ\x00\x00\x04",
    "an ELF file of another machine": lambda data: data[:18] + b"\xb7\x00" + data[20:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_module_file_that_is_damaged(
    place: Place, workspace: Workspace, module: Path, damage: Callable[[bytes], bytes]
) -> None:
    module.write_bytes(damage(module.read_bytes()))
    place.with_parts(modules=module.parent)
    place.patch(diff(workspace.tree, NEW_LIMIT))
    error = place.refused(*place.build("my.patch"))
    assert error.code in ("module-malformed", "object-malformed", "object-unsupported")
    assert "loop" in error.where


def test_a_source_that_is_cut_off(patched: Place, tmp_path: Path) -> None:
    patched.own("workspaces")
    source = cut(patched.target.source, tmp_path, 2_000_000)
    patched.with_parts(source=source)
    error = patched.refused(*patched.build("my.patch"))
    shows(error, "source-damaged")
    assert error.where == str(source)


def test_a_source_that_is_something_else(patched: Place, tmp_path: Path) -> None:
    patched.own("workspaces")
    source = tmp_path / "linux-source.tar.xz"
    with tarfile.open(source, "w:xz") as tar:
        tar.add("/etc/passwd", "passwd/passwd")
    patched.with_parts(source=source)
    error = patched.refused(*patched.build("my.patch"))
    shows(error, "source-mismatch")
    assert error.where == str(source)


def test_a_source_that_does_not_compile(patched: Place, workspace: Workspace) -> None:
    patched.with_workspace(
        workspace,
        {MEMINFO: (workspace.tree / MEMINFO).read_bytes() + b"\n#error not the target's\n"},
    )
    error = patched.refused(*patched.build("my.patch"))
    shows(error, "original-does-not-compile")
    assert any("not the target's" in line for line in error.evidence)


# --- suture inspect ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live_patch(
    target: Target, workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> bytes:
    place = Place.make(tmp_path_factory.mktemp("live-patch"), target)
    place.patch(diff(workspace.tree, NEW_TOTAL))
    done = place.run(*place.build("my.patch", "-o", "my.ko"))
    assert done.returncode == 0, done.stderr
    return (place.directory / "my.ko").read_bytes()


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_live_patch_that_is_cut_off(place: Place, live_patch: bytes, share: float) -> None:
    (place.directory / "cut.ko").write_bytes(live_patch[: int(len(live_patch) * share)])
    error = place.refused("inspect", "cut.ko")
    assert (error.code, error.where.partition(":")[0]) == ("object-malformed", "cut.ko")


def test_a_module_that_is_no_live_patch(place: Place, module: Path) -> None:
    error = place.refused("inspect", module)
    assert (error.code, error.where) == ("not-a-live-patch", str(module))


def test_bytes_that_are_no_module(place: Place) -> None:
    (place.directory / "random.ko").write_bytes(os.urandom(100_000))
    assert place.refused("inspect", "random.ko").code == "object-malformed"


def test_a_program_is_no_module(place: Place) -> None:
    assert place.refused("inspect", "/bin/true").code in ("object-unsupported", "not-a-live-patch")


@pytest.mark.parametrize(
    "name", ["missing.ko", "directory", "unreadable.ko", "directory/none/x.ko"]
)
def test_a_module_that_cannot_be_read(place: Place, name: str) -> None:
    (place.directory / "directory").mkdir()
    (place.directory / "unreadable.ko").touch(mode=0)
    error = place.refused("inspect", name, prefix=WITHOUT_PRIVILEGES)
    assert (error.code, error.where) == ("file-unreadable", name)


# --- where it is written ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output", ["directory", "file/x.ko", "protected/x.ko", "protected/deep/x.ko", "fifo"]
)
def test_an_output_that_cannot_be_written(patched: Place, output: str) -> None:
    (patched.directory / "directory").mkdir()
    (patched.directory / "file").touch()
    (patched.directory / "protected").mkdir(mode=0o555)
    os.mkfifo(patched.directory / "fifo")
    error = patched.refused(*patched.build("my.patch", "-o", output), prefix=WITHOUT_PRIVILEGES)
    assert error.code == "file-unreadable"
    assert error.where.startswith(output.partition("/")[0])


def test_an_older_module_stays_when_a_build_is_refused(patched: Place) -> None:
    (patched.directory / "livepatch_my.ko").write_bytes(b"older")
    patched.patch("")
    patched.refused(*patched.build("my.patch"))
    assert (patched.directory / "livepatch_my.ko").read_bytes() == b"older"


def small_disk(mount_point: Path, *, full: bool = True) -> tuple[str, ...]:
    """A prefix that runs a command where a file system of 1 MiB is mounted; nobody else sees it."""
    fill = "head -c 2M /dev/zero >filler 2>/dev/null" if full else "true"
    script = f'mount -t tmpfs -o size=1M small "$1" && (cd "$1" && {fill}); shift; exec "$@"'
    return ("unshare", "--mount", "sh", "-c", script, "sh", str(mount_point))


def may_mount() -> bool:
    return (
        subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode
        == 0
    )


needs_mount = pytest.mark.skipif(
    not may_mount(), reason="only root may mount a small file system to fill"
)


@needs_mount
@pytest.mark.parametrize("place_of", ["output", "link", "workspaces"])
def test_a_full_disk(patched: Place, workspace: Workspace, place_of: str) -> None:
    (patched.directory / "output").mkdir()
    point = {
        "output": patched.directory / "output",
        "link": patched.cache / "link",
        "workspaces": patched.cache / "workspaces",
    }[place_of]
    if place_of == "workspaces":
        point.unlink()
        point.mkdir()
    else:
        patched.with_workspace(workspace, {MEMINFO: (workspace.tree / MEMINFO).read_bytes()})
    prefix = small_disk(point)
    error = patched.refused(*patched.build("my.patch", "-o", "output/my.ko"), prefix=prefix)
    assert error.code == "disk-full"


@needs_mount
def test_no_room_for_the_compilers_temporary_files_spoils_no_workspace(patched: Place) -> None:
    """kbuild takes a compiler that cannot write them for one that lacks features, and goes on
    without."""
    patched.own("workspaces")
    error = patched.refused(
        *patched.build("my.patch"), prefix=small_disk(patched.temporary, full=False)
    )
    shows(error, "disk-full")
    assert error.where == str(patched.temporary)


@needs_mount
def test_another_temporary_directory_is_taken_when_the_first_is_full(patched: Place) -> None:
    done = patched.run(*patched.build("my.patch"), prefix=small_disk(patched.temporary))
    assert done.returncode == 0, done.stderr


@needs_mount
def test_objects_that_cannot_be_kept_cost_only_time(patched: Place, workspace: Workspace) -> None:
    prefix = small_disk(workspace.directory / "objects")
    done = patched.run(*patched.build("my.patch"), prefix=prefix)
    assert done.returncode == 0, done.stderr
    assert "No space left to cache compiled objects" in done.stderr
    assert (patched.directory / "livepatch_my.ko").exists()


def test_a_cache_that_cannot_be_written(patched: Place, workspace: Workspace) -> None:
    patched.with_workspace(workspace, {MEMINFO: (workspace.tree / MEMINFO).read_bytes()})
    shutil.rmtree(patched.cache / "link")
    patched.cache.chmod(0o555)
    error = patched.refused(*patched.build("my.patch"), prefix=WITHOUT_PRIVILEGES)
    assert error.code == "file-unreadable"


# --- usage ------------------------------------------------------------------------------------------------------------

WRONG_USAGE = (
    ("build",),
    ("build", "my.patch", "--kernel"),
    ("build", "my.patch", "--kernel", "a", "--kernel-dir", "b"),
    ("build", "my.patch", "--strip-level", "one"),
    ("build", "my.patch", "--strip-level", "-1"),
    ("build", "my.patch", "--no-such-option"),
    ("inspect",),
    ("inspect", "a.ko", "b.ko"),
)


@pytest.mark.parametrize("words", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_status_2(patched: Place, words: tuple[str, ...]) -> None:
    before = patched.contents()
    done = patched.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr
    assert "Traceback" not in done.stderr
    assert patched.contents() == before
