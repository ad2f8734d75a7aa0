# SPDX-License-Identifier: GPL-2.0-or-later
"""What scanners are told: only what is in force counts as fixed."""

from __future__ import annotations

import json
import platform
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from suture.core.fixed import fixed, openvex
from suture.core.patches import LoadedPatch
from suture.core.redirections import Hindrance
from suture.core.status import Loading, PatchStatus, Status
from suture.host.distributions import Unknown
from suture.host.distributions.debian import DebianHost
from suture.model import Fix

BANNER = (
    "Linux version 6.1.0-9-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14) "
    "12.2.0) #1 SMP PREEMPT_DYNAMIC Debian 6.1.27-1 (2023-05-08)"
)


def loaded(name: str, *cves: str, enabled: bool = True, transition: bool = False) -> PatchStatus:
    patch = LoadedPatch(name, enabled, transition, None, None, ())
    loading = Loading("2026-01-02T03:04:05+00:00", "root", "/x.ko", "00")
    fixes = (Fix("mend it", cves=cves),)
    return PatchStatus(patch, "abcd", loading, None, None, (), name, fixes=fixes)


def status(*patches: PatchStatus) -> Status:
    return Status("6.1.0-9-amd64", True, patches, None, (), (), (), (), "", (), None)


def test_only_what_is_in_force_for_all_tasks_counts() -> None:
    one, two = loaded("one", "CVE-2026-2", "CVE-2026-1"), loaded("two", "CVE-2026-3")
    moving = loaded("moving", "CVE-2026-4", transition=True)
    found = status(one, two, moving, loaded("gone", "CVE-2026-5", enabled=False))
    assert list(fixed(found)) == ["CVE-2026-1", "CVE-2026-2", "CVE-2026-3"]
    hindered = Hindrance("two", "vmlinux", "f", "bpf_trampoline_1", is_in_force=False)
    assert list(fixed(replace(found, hindrances=(hindered,)))) == ["CVE-2026-1", "CVE-2026-2"]
    shared = replace(hindered, is_in_force=True)
    assert "CVE-2026-3" in fixed(replace(found, hindrances=(shared,)))


def test_an_openvex_document_has_what_its_specification_asks_for() -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    document = openvex(status(loaded("one", "CVE-2026-1")), "pkg:x/y@1", "host", now)
    assert json.loads(json.dumps(document)) == document
    assert document["@context"] == "https://openvex.dev/ns/v0.2.0"
    assert (document["timestamp"], document["version"]) == ("2026-01-02T03:04:05Z", 1)
    assert document["author"] == "host"
    assert str(document["@id"]).startswith("urn:suture:vex:")
    assert document["statements"] == [
        {
            "vulnerability": {"name": "CVE-2026-1"},
            "products": [{"@id": "pkg:x/y@1"}],
            "status": "fixed",
            "status_notes": "The live patch one (build ID abcd) is in force since "
            "2026-01-02T03:04:05+00:00.",
        }
    ]


def test_a_document_says_what_could_not_be_seen() -> None:
    found = replace(status(loaded("one", "CVE-2026-1")), unseen="tracefs is not mounted")
    document = openvex(found, "pkg:x/y@1", "host", datetime(2026, 1, 2, tzinfo=UTC))
    assert "cannot be seen: tracefs is not mounted." in json.dumps(document["statements"])


def test_the_kernels_package_is_named_as_package_urls_name_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    described = {"ID": "debian", "VERSION_ID": "12"}
    monkeypatch.setattr(platform, "freedesktop_os_release", lambda: described)
    url = DebianHost().kernel_url("6.1.0-9-cloud-amd64", BANNER)
    image = "pkg:deb/debian/linux-image-6.1.0-9-cloud-amd64"
    assert url == f"{image}@6.1.27-1?arch=amd64&distro=debian-12"
    assert DebianHost().kernel_url("6.1.27", "").startswith("pkg:deb/debian/linux-image-6.1.27?")
    assert Unknown().kernel_url("6.1.27", BANNER) == "pkg:generic/linux@6.1.27"
