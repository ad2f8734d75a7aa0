# SPDX-License-Identifier: GPL-2.0-or-later
"""Module files as packages and trees lay them out, packed by the real tools."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suture.errors import Refusal
from suture.kernel import modules
from suture.kernel.release import Target
from tests.examples import shows
from tests.unit.conftest import only_refusals

PACKERS = {"xz": ["xz", "--check=crc32"], "zst": ["zstd", "-q", "--rm"], "gz": ["gzip"]}


def target(root: Path) -> Target:
    nothing = Path("/nonexistent")
    return Target("6.1.0-toy", "", nothing, nothing, nothing, nothing, nothing, root, nothing)


def make_module(path: Path, *info: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    strings = "".join(f'".asciz \\"{text}\\"\\n"' for text in info)
    source = f'asm(".section .modinfo,\\"a\\"\\n" {strings} ".previous");\nint body(void) {{ return 1; }}\n'
    subprocess.run(["gcc", "-x", "c", "-c", "-o", path, "-"], input=source, text=True, check=True)
    return path


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """``/lib/modules/RELEASE`` with three modules, of which one is packed, and the links of the
    headers package."""
    root = tmp_path / "lib"
    make_module(root / "kernel/sound/soundcore.ko", "name=soundcore", "depends=")
    make_module(root / "kernel/sound/core/snd.ko", "name=snd", "depends=soundcore,af_packet")
    pcm = make_module(
        root / "kernel/sound/core/snd-pcm.ko", "name=snd_pcm", "depends=snd,soundcore"
    )
    subprocess.run([*PACKERS["xz"], pcm], check=True)
    (root / "modules.builtin").write_text(
        "kernel/net/packet/af_packet.ko\nkernel/net/key/af-key.ko\n"
    )
    (root / "build").symlink_to("/nonexistent")
    return root


def test_files_are_found_by_the_modules_name(installed: Path) -> None:
    found = modules.index(target(installed))
    assert sorted(found) == ["snd", "snd_pcm", "soundcore"]
    assert found["snd_pcm"] == installed / "kernel/sound/core/snd-pcm.ko.xz"


@pytest.mark.parametrize("order", ["drivers/block/loop.ko\n", "drivers/block/loop.o\n"])
def test_in_a_built_tree_the_kernels_own_list_counts(tmp_path: Path, order: str) -> None:
    make_module(tmp_path / "drivers/block/loop.ko")
    make_module(tmp_path / "experiments/stray.ko")
    (tmp_path / "modules.order").write_text(order)
    (tmp_path / "include/config").mkdir(parents=True)
    (tmp_path / "include/config/kernel.release").write_text("6.1.0-toy\n")
    assert modules.index(target(tmp_path)) == {"loop": tmp_path / "drivers/block/loop.ko"}


def test_a_tree_without_that_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "include/config").mkdir(parents=True)
    (tmp_path / "include/config/kernel.release").write_text("6.1.0-toy\n")
    with pytest.raises(Refusal, match=r"modules\.order"):
        modules.index(target(tmp_path))


@pytest.mark.parametrize("suffix", ["xz", "zst", "gz"])
def test_packed_modules_are_read_as_elf(tmp_path: Path, suffix: str) -> None:
    plain = make_module(tmp_path / "loop.ko")
    expected = plain.read_bytes()
    assert modules.read(plain) == expected
    subprocess.run([*PACKERS[suffix], plain], check=True)
    assert modules.read(tmp_path / f"loop.ko.{suffix}") == expected


@pytest.mark.parametrize("suffix", ["xz", "zst", "gz"])
def test_a_truncated_module_is_refused(tmp_path: Path, suffix: str) -> None:
    subprocess.run([*PACKERS[suffix], make_module(tmp_path / "loop.ko")], check=True)
    packed = tmp_path / f"loop.ko.{suffix}"
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(Refusal) as refusal:
        modules.read(packed)
    assert refusal.value.code == "module-malformed"


@pytest.mark.parametrize("content", [b"", b"text", b"\x1f\x8b"], ids=repr)
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "loop.ko").write_bytes(content)
    with pytest.raises(Refusal) as refusal:
        modules.read(tmp_path / "loop.ko")
    assert refusal.value.code == "module-malformed"


def test_a_missing_module_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        modules.read(tmp_path / "loop.ko")
    assert refusal.value.code == "file-unreadable"


def test_builtin_modules_are_known_by_name(installed: Path) -> None:
    assert modules.builtin(target(installed)) == {"af_packet", "af_key"}


def test_dependencies_come_in_an_order_that_loads(installed: Path) -> None:
    assert modules.dependencies(target(installed), "snd-pcm") == ("soundcore", "snd")
    assert modules.dependencies(target(installed), "soundcore") == ()
    assert modules.dependencies(target(installed), "af_packet") == ()


def test_what_a_module_asks_for_by_the_name_of_an_algorithm_is_found(installed: Path) -> None:
    make_module(
        installed / "kernel/lib/libsum.ko", "depends=", "softdep=pre: crc32c nowhere post: snd"
    )
    make_module(installed / "kernel/crypto/crc32c_generic.ko", "depends=", "alias=crc32c")
    available = modules.index(target(installed))
    assert modules.soft_dependencies("libsum", available) == ("crc32c_generic",)
    assert modules.soft_dependencies("snd_pcm", available) == ()


def test_modules_that_need_each_other_end(installed: Path) -> None:
    make_module(installed / "kernel/a.ko", "depends=b")
    make_module(installed / "kernel/b.ko", "depends=a")
    assert modules.dependencies(target(installed), "a") == ("b",)


def test_an_unknown_module_is_refused(installed: Path) -> None:
    make_module(installed / "kernel/odd.ko", "depends=nowhere")
    for name, where in (("tun", "tun"), ("odd", "nowhere")):
        with pytest.raises(Refusal) as refusal:
            modules.dependencies(target(installed), name)
        assert (refusal.value.code, refusal.value.where) == ("module-not-found", where)
    shows(refusal.value, "module-not-found")


def test_modinfo_is_what_modinfo_says(tmp_path: Path) -> None:
    path = make_module(tmp_path / "loop.ko", "license=GPL", "alias=a=b", "depends=")
    assert modules.modinfo(modules.read(path), "loop.ko") == (
        ("license", "GPL"),
        ("alias", "a=b"),
        ("depends", ""),
    )


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    place=st.integers(0, 1500),
    noise=st.binary(min_size=1, max_size=16),
    suffix=st.sampled_from(["", *PACKERS]),
)
def test_a_damaged_module_is_refused_or_read(
    tmp_path: Path, place: int, noise: bytes, suffix: str
) -> None:
    pristine = tmp_path / "loop.ko"
    if not pristine.exists():
        make_module(pristine, "depends=snd")
        for packer in PACKERS.values():
            subprocess.run(
                [*(word for word in packer if word != "--rm"), "-k", pristine], check=True
            )
    damaged = bytearray((tmp_path / f"loop.ko{'.' * bool(suffix)}{suffix}").read_bytes())
    damaged[place : place + len(noise)] = noise
    (tmp_path / "damaged.ko").write_bytes(damaged)
    with only_refusals("module-malformed"):
        modules.modinfo(modules.read(tmp_path / "damaged.ko"), "damaged.ko")
