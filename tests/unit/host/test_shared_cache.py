# SPDX-License-Identifier: GPL-2.0-or-later
"""One cache for several users: a group that all write to it, and others who only read it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from suture.host import paths

SOURCE = Path(__file__).resolve().parents[3] / "src"

GROUP = 65100
ONE, OTHER, STRANGER = 65001, 65002, 65003
"""Users; the first two are in the group."""


def is_open(path: Path) -> bool:
    """Whether all users can come to what is there; a checkout in /root is root's alone."""
    return all(one.stat().st_mode & 0o005 == 0o005 for one in (path, *path.parents))


needs_users = pytest.mark.skipif(
    os.geteuid() != 0
    or shutil.which("setpriv") is None
    or not all(map(is_open, (SOURCE, Path(sys.prefix).resolve()))),
    reason="only root can be other users, and they must be able to read the program",
)

WRITE = """
from suture.host import files, paths
from suture.host.paths import cache
paths.share_with_group()
with files.locked(cache() / "kernels/.lock"):
    with files.new_directory(cache() / "kernels/6.1.0-1-amd64/1") as work:
        (work / "deep/deeper").mkdir(parents=True)
        (work / "deep").chmod(0o755)  # as a package has it
        (work / "deep/deeper/file").touch()
        files.write_atomic(work / "target.json", b"{}")
"""

CHANGE = """
import shutil
from suture.host import files, paths
from suture.host.paths import cache
paths.share_with_group()
with files.locked(cache() / "kernels/.lock"):
    files.write_atomic(cache() / "kernels/6.1.0-1-amd64/1/deep/new", b"")
    shutil.rmtree(cache() / "kernels/6.1.0-1-amd64/1")
    with files.new_directory(cache() / "kernels/6.1.0-1-amd64/2"):
        pass
with files.scratch_directory(cache() / "link", "fix-"):
    pass
"""

HOLD = """
import sys
from suture.host import files
from suture.host.paths import cache
with files.locked(cache() / "lock"):
    print("held", flush=True)
    sys.stdin.readline()
    print("let go", flush=True)
"""

READ = """
import json
from suture.host import kernel_names
from suture.host.paths import cache, caches
from suture.sources import fetched, find
kernel_names.keep_offered(["6.1.0-2-amd64"])
print(json.dumps({
    "cache": str(cache()),
    "caches": [str(one) for one in caches()],
    "names": kernel_names.fetched_names(),
    "found": str(find("6.1.0-1-amd64").config),
    "fetched": [one.release for one in fetched()],
}))
"""

REMOVE = """
from suture.workspace import disk
assert disk.kept() == ()
disk.remove("6.1.0-1-amd64")
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that all users can come to; pytest's are for their owner."""
    with tempfile.TemporaryDirectory(prefix="suture-shared-", dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def shared(place: Path) -> Path:
    """A cache as an administrator makes it: ``install -d -m 2775 -g builders``."""
    made = place / "cache"
    made.mkdir()
    os.chown(made, 0, GROUP)
    made.chmod(0o2775)
    return made


def start(code: str, user: int, shared: Path) -> subprocess.Popen[str]:
    own = shared.parent / str(user)
    if not own.exists():
        own.mkdir()
        os.chown(own, user, user)
    groups = f"--groups={GROUP}" if user != STRANGER else "--clear-groups"
    return subprocess.Popen(
        ["setpriv", f"--reuid={user}", f"--regid={user}", groups, sys.executable, "-c", code],
        env={
            "PATH": os.defpath,
            "PYTHONPATH": str(SOURCE),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SUTURE_CACHE": str(shared),
            "XDG_CACHE_HOME": str(own),
        },
        cwd="/",
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def run(code: str, user: int, shared: Path) -> str:
    process = start(code, user, shared)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


@needs_users
def test_one_of_the_group_changes_what_another_made(shared: Path) -> None:
    run(WRITE, ONE, shared)
    made = shared / "kernels/6.1.0-1-amd64/1"
    assert (made.stat().st_uid, made.stat().st_gid) == (ONE, GROUP)
    run(CHANGE, OTHER, shared)
    assert [path.name for path in made.parent.iterdir()] == ["2"]
    left = [path for path in shared.rglob("*") if path.is_dir() and path.stat().st_gid != GROUP]
    assert left == []


@needs_users
def test_a_lock_of_one_user_holds_back_another(shared: Path) -> None:
    first = start(HOLD, ONE, shared)
    assert first.stdout is not None
    assert first.stdout.readline() == "held\n"
    second = start(HOLD, OTHER, shared)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(timeout=1)
    assert first.communicate("\n", timeout=60)[0] == "let go\n"
    assert second.communicate("\n", timeout=60)[0] == "held\nlet go\n"


@needs_users
def test_a_lock_that_may_only_be_read_is_held_too(shared: Path) -> None:
    (shared / "lock").touch(0o644)
    assert run(HOLD, OTHER, shared) == "held\nlet go\n"


@needs_users
def test_others_read_its_kernels_and_keep_what_they_make_themselves(shared: Path) -> None:
    kernel = shared / "kernels/6.1.0-1-amd64/6.1.1-1"
    kernel.mkdir(parents=True)
    names = ("vmlinuz", "vmlinux", "kallsyms", "config", "symvers", "modules", "source")
    for name in names:
        (kernel / name).touch()
    document = {
        "format": 1,
        "release": "6.1.0-1-amd64",
        "version": "6.1.1-1",
        "parts": {name: {"path": name, "size": 0} for name in names},
    }
    (kernel / "target.json").write_text(json.dumps(document))
    own = str(shared.parent / str(STRANGER) / "suture")
    assert json.loads(run(READ, STRANGER, shared)) == {
        "cache": own,
        "caches": [own, str(shared)],
        "names": ["6.1.0-1-amd64"],
        "found": str(kernel / "config"),
        "fetched": ["6.1.0-1-amd64"],
    }
    process = start(REMOVE, STRANGER, shared)
    assert "may only read" in process.communicate(timeout=60)[1]
    assert kernel.is_dir()
    in_group = json.loads(run(READ, ONE, shared))
    assert (in_group["cache"], in_group["caches"]) == (str(shared), [str(shared)])


def test_the_environment_comes_before_the_hosts_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "etc-suture-cache"
    monkeypatch.setattr(paths, "SHARED_LINK", link)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("SUTURE_CACHE", raising=False)
    assert paths.cache() == tmp_path / "home/.cache/suture"
    (tmp_path / "srv").mkdir()
    link.symlink_to("srv")
    assert paths.cache() == tmp_path / "srv"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert paths.caches() == (tmp_path / "xdg/suture",)
    monkeypatch.setenv("SUTURE_CACHE", "relative")
    assert paths.cache() == tmp_path / "xdg/suture"
    monkeypatch.setenv("SUTURE_CACHE", str(tmp_path / "new/cache"))
    assert paths.cache() == tmp_path / "new/cache"


def test_a_cache_of_ones_own_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o022)
    try:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.delenv("SUTURE_CACHE", raising=False)
        paths.share_with_group()
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
