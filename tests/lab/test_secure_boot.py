# SPDX-License-Identifier: GPL-2.0-or-later
"""Signed live patches where they have to be: a stock kernel that UEFI Secure Boot started and has
locked down."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from suture.kernel.release import Target
from suture.lab.machine import Machine
from suture.lab.qemu import Accelerator
from suture.module import sign
from suture.module.sign import KeyPair, Signer
from suture.workspace.prepare import Workspace
from tests.lab import firmware, modules, runtime
from tests.lab.host import Host

OWNER = "Owner of the lab"

DEMAND = "and the kernel is locked down (integrity, as Secure Boot is on)"


@pytest.fixture(scope="session")
def owner(tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    """Whose certificate is enrolled."""
    return sign.new_key(tmp_path_factory.mktemp("owner"), "owner", OWNER)


@pytest.fixture
def files(each_workspace: Workspace, owner: KeyPair, tmp_path: Path) -> dict[str, bytes]:
    """A live patch, unsigned, signed by the owner, changed after that, and signed by two that are
    not enrolled."""
    built = modules.build(each_workspace, tmp_path, {"lp_one": modules.SOURCES["lp_one"]}, ())[
        "lp_one"
    ]

    def signed(pair: KeyPair) -> bytes:
        return sign.sign(built, "lp_one.ko", Signer(str(pair.key), pair.certificate))

    by_owner = signed(owner)
    made = {
        "unsigned": built,
        "signed": by_owner,
        "changed": by_owner.replace(b"one\n", b"two\n", 1),
        "stranger": signed(sign.new_key(tmp_path, "stranger", "Stranger")),
        "namesake": signed(sign.new_key(tmp_path, "namesake", OWNER)),
    }
    certificates = {
        f"/lp/{path.name}": path.read_bytes() for path in (owner.der, tmp_path / "namesake.der")
    }
    return (
        runtime.files(*runtime.SIGNATURES)
        | {f"/lp/{name}.ko": module for name, module in made.items()}
        | certificates
    )


@contextmanager
def booted(target: Target, files: Mapping[str, bytes], *enrolled: Path) -> Iterator[Host]:
    with (
        firmware.secure_boot(*enrolled) as secure_boot,
        # Emulated wherever it runs: not each KVM has the System Management Mode that the firmware
        # needs.
        Machine.boot(
            target, files=files, memory=1024, accelerator=Accelerator.TCG, firmware=secure_boot
        ) as machine,
    ):
        host = Host(machine)
        assert "[integrity]" in host.sh("cat /sys/kernel/security/lockdown")
        assert "Kernel is locked down from EFI Secure Boot" in machine.kernel_log()
        yield host
        assert machine.complaints() == ()


@pytest.mark.make_test_takes("6.12")
def test_a_live_patch_of_the_owners_is_loaded_under_secure_boot_and_no_other(
    each_target: Target, files: dict[str, bytes], owner: KeyPair
) -> None:
    with booted(each_target, files, owner.certificate) as host:
        the_kernel_takes_none_of(host, "unsigned", "changed", "stranger", "namesake")
        unsigned, changed, stranger, namesake, loaded, doctor, ours, other = host.suture(
            "load /lp/unsigned.ko",
            "load /lp/changed.ko",
            "load /lp/stranger.ko",
            "load /lp/namesake.ko",
            "load /lp/signed.ko",
            "doctor --json",
            "key show /lp/owner.der",
            "key show /lp/namesake.der",
        )
        assert unsigned.is_refused("signature-required", f"it has no signature, {DEMAND}")
        assert changed.is_refused("signature-wrong", f"it is not what {OWNER}")
        assert stranger.is_refused("signature-required", "it is signed by Stranger (")
        for refused in (stranger, namesake):
            assert refused.is_refused(
                "signature-required", f"whose key this kernel does not have, {DEMAND}"
            )
            assert f"it has the key of {OWNER} (.machine)" in refused.err
            assert "mokutil --import" in refused.err
        assert (loaded.status, loaded.out.splitlines()[0]) == (
            0,
            f"It is signed with a key that the kernel trusts: {OWNER} (.machine).",
        )
        assert host.loaded() == ["lp_one", "lp_one"]
        assert host.sh("cat /proc/cmdline") == "one\n"
        assert "accepts modules that it signed (.machine)" in ours.out
        assert "does not have it" in other.out
        assert f"{OWNER} (.machine)" in said(doctor.document, "module signatures")
        assert said(doctor.document, "lockdown").startswith("integrity (Secure Boot): ")
        [unloaded] = host.suture("unload lp_one")
        assert unloaded.status == 0
    with booted(each_target, files) as host:
        the_kernel_takes_none_of(host, "signed")
        refused, ours = host.suture("load /lp/signed.ko", "key show /lp/owner.der")
        assert refused.is_refused("signature-required", f"it is signed by {OWNER} (")
        assert f"whose key this kernel does not have, {DEMAND}" in refused.err
        assert "it has the key of Debian Secure Boot CA (.machine)" in refused.err
        assert "does not have it" in ours.out


def the_kernel_takes_none_of(host: Host, *names: str) -> None:
    """Asked without Suture, it says itself what Suture says of it."""
    for name in names:
        result = host.machine.run(f"insmod /lp/{name}.ko")
        assert result.status != 0, name
        assert "Key was rejected by service" in result.text
    assert host.loaded() == []


def said(document: Any, name: str) -> str:
    """What ``suture doctor`` found."""
    [found] = [check["found"] for check in document["checks"] if check["name"] == name]
    return str(found)
