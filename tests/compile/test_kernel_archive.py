# SPDX-License-Identifier: GPL-2.0-or-later
"""Fetching a real kernel: what comes of it, and what is left when it is killed, doubled, or has no
network."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

import pytest

import suture
from suture import sources
from suture.errors import Refusal
from suture.kernel import boot_image, config, image, kallsyms, modules, symvers
from suture.kernel.release import Target
from suture.sources import apt
from suture.sources.debian import DebianOffer
from suture.sources.directory import from_directory

FETCH = """
import sys
import tempfile
from suture.host import progress
from suture import sources

class Lines(progress.Silent):
    def begin(self, what, detail):
        print(f"begin {what} {detail}", flush=True)

progress.reporter.set(Lines())
print("done", sources.fetch(sys.argv[1]).vmlinux, flush=True)
"""


@pytest.fixture(scope="module")
def downloaded(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of the target, which no cache keeps."""
    directory = tmp_path_factory.mktemp("packages")
    offer = sources.find_offer(target.release, target.version)
    assert isinstance(offer, DebianOffer)
    apt.download(offer.packages, directory, offer.archives)
    for lock in directory.glob(".*"):
        lock.unlink()
    return directory


@pytest.fixture
def other_cache(downloaded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache but for the packages, so that a fetch has everything to do except the
    download."""
    packages = tmp_path / "xdg/suture/packages"
    packages.mkdir(parents=True)
    for deb in downloaded.iterdir():
        shutil.copy2(deb, packages)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg/suture"


def start_fetch(release: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(suture.__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, release], stdout=subprocess.PIPE, text=True, env=environment
    )


def leftovers(directory: Path) -> list[Path]:
    return list(directory.rglob(".part-*"))


def test_the_parts_of_a_target_belong_together(target: Target) -> None:
    kernel = image.read(target.vmlinux)
    assert kernel.release == target.release
    assert f"Debian {target.version}" in kernel.banner
    assert (
        boot_image.decompress(target.vmlinuz.read_bytes(), "vmlinuz") == target.vmlinux.read_bytes()
    )
    assert config.read(target.config).compiler.split(" ")[-1] in kernel.banner
    # Each exported function is where the symbol table of exports in the image says.
    symbols, exports = kallsyms.read(target.kallsyms), symvers.read(target.symvers)
    own = [name for name, export in exports.exports.items() if export.module == "vmlinux"]
    assert len(own) > 5000
    assert [
        name
        for name in own
        if len(symbols.named(f"__ksymtab_{name}")) != 1 or not symbols.named(name)
    ] == []


def test_exported_addresses_in_the_image_are_those_of_the_listing(target: Target) -> None:
    kernel, symbols = image.read(target.vmlinux), kallsyms.read(target.kallsyms)
    exports = [symbol for symbol in symbols.symbols if symbol.name.startswith("__ksymtab_")]
    assert len(exports) > 5000
    for entry in exports:
        # include/linux/export.h: struct kernel_symbol begins with the value's offset from itself.
        stored = kernel.read(entry.address, 4)
        assert stored is not None
        (offset,) = struct.unpack("<i", stored)
        address = (entry.address + offset) & 0xFFFFFFFFFFFFFFFF
        name = entry.name.removeprefix("__ksymtab_")
        assert address in [symbol.address for symbol in symbols.named(name)], name


def test_every_module_file_is_named_as_it_names_itself(target: Target) -> None:
    found = modules.index(target)
    assert len(found) > 2000
    for name in ("loop", "dummy", "tun", "snd_pcm"):
        data = modules.read(found[name])
        assert ("name", name) in modules.modinfo(data, name)
    assert {"soundcore", "snd", "snd_timer"} <= set(modules.dependencies(target, "snd-pcm"))


def test_the_source_is_kept_packed(target: Target) -> None:
    names = subprocess.run(
        f"tar -tf {target.source} | head -3", shell=True, capture_output=True, text=True
    ).stdout
    assert names.splitlines()[0].startswith("linux-source-6.1/")


def test_a_fetched_kernel_is_found_without_apt(
    target: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sources.find(target.release, target.version) == target
    assert sources.fetch(target.release, target.version) == target
    assert target in sources.fetched()


def test_a_boot_image_in_a_built_tree_is_preferred(
    target: Target, tmp_path: Path, other_cache: Path
) -> None:
    directory = tmp_path / "linux"
    for name, part in (("arch/x86/boot/bzImage", target.vmlinuz), (".config", target.config)):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(part, directory / name)
    shutil.copy(target.symvers, directory / "Module.symvers")
    (directory / "include/config").mkdir(parents=True)
    (directory / "include/config/kernel.release").write_text(target.release)
    found = from_directory(directory)
    assert found.vmlinux.read_bytes() == target.vmlinux.read_bytes()
    assert found.kallsyms.read_bytes() == target.kallsyms.read_bytes()
    assert from_directory(directory) == found


def test_a_fetch_killed_in_any_step_leaves_nothing_that_counts(
    target: Target, other_cache: Path
) -> None:
    steps = [
        f"begin Unpacking linux-image-{target.release}",
        "begin Reading the image",
        "begin Listing its symbols",
    ]
    for step in steps:
        process = start_fetch(target.release)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(step):
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL, step
        process.stdout.close()
        assert sources.fetched() == ()
        with pytest.raises(Refusal, match="kernel-not-fetched"):
            sources.find(target.release)
    assert leftovers(other_cache) != []
    found = sources.fetch(target.release)
    assert found.kallsyms.read_bytes() == target.kallsyms.read_bytes()
    assert found.vmlinux.read_bytes() == target.vmlinux.read_bytes()
    assert leftovers(other_cache) == []


def test_a_killed_download_is_not_taken_for_a_package(target: Target, other_cache: Path) -> None:
    headers = next((other_cache / "packages").glob("linux-headers-*.deb"))
    headers.unlink()
    process = start_fetch(target.release)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("begin Downloading"):
            process.send_signal(signal.SIGKILL)
            break
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert not headers.exists()
    sources.fetch(target.release)
    assert list((other_cache / "packages").glob("*.deb")) == []
    assert leftovers(other_cache) == []


def test_two_fetches_at_once_do_the_work_once(target: Target, other_cache: Path) -> None:
    both = [start_fetch(target.release) for _ in range(2)]
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len({output.splitlines()[-1] for output in outputs}) == 1
    assert sorted(output.count("begin Unpacking") for output in outputs) == [0, 3]
    assert leftovers(other_cache) == []


def test_no_network_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A proxy that nobody serves; the discard port of the host itself.
    options = "".join(
        f'Acquire::{scheme}::Proxy "http://127.0.0.1:9";\n' for scheme in ("http", "https")
    )
    (tmp_path / "apt.conf").write_text(options + 'Acquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with pytest.raises(Refusal) as refusal:
        sources.fetch(sources.offers()[0].release)
    assert refusal.value.code == "archive-unreachable"
    assert any("127.0.0.1" in line for line in refusal.value.evidence)
    assert [
        path for path in (tmp_path / "xdg").rglob("*") if path.is_file() and path.name[0] != "."
    ] == []
    assert leftovers(tmp_path) == []


def test_a_normal_user_can_download() -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests here run as a normal user already")
    offer = next(offer for offer in sources.offers() if isinstance(offer, DebianOffer))
    packages = [offer.headers]
    directory = Path(
        tempfile.mkdtemp(prefix="suture-test-")
    )  # pytest's own are closed to other users
    shutil.chown(directory, "nobody")
    try:
        # A fork keeps what is imported, wherever it lies; 'nobody' may not be able to read our
        # sources.
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgid(pwd.getpwnam("nobody").pw_gid)
                os.setuid(pwd.getpwnam("nobody").pw_uid)
                os.chdir("/")
                apt.download(packages, directory)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert [
            apt.is_complete(package, directory / package.file_name) for package in packages
        ] == [True]
        assert directory.joinpath(packages[0].file_name).owner() == "nobody"
    finally:
        shutil.rmtree(directory)
