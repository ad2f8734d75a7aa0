# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries of real changelogs, and the files of the real difference that they may mean (6.1.176 to
6.1.192)."""

from __future__ import annotations

import pytest

from suture.fixes.changes import CodeChange
from suture.fixes.matching import MOST_FILES, Certainty, FileMatch, Matcher, places_of


def file(path: str, functions: str = "", words: str = "") -> CodeChange:
    return CodeChange(path, 1, 1, frozenset(functions.split()), frozenset(words.split()), "")


CHANGES = (
    file("fs/smb/client/transport.c", "cifs_demultiplex", "length"),
    file("fs/smb/client/smb2transform.c", "coalesce_t2"),
    file("fs/smb/client/cifsglob.h"),
    file("net/bluetooth/mgmt.c", "disconnect"),
    file("net/mptcp/protocol.c", "mptcp_disconnect", "rtx"),
    file("net/mptcp/subflow.c"),
    file("drivers/hid/hid-core.c", "hid_safe_input_report"),
    file("drivers/hid/uhid.c", "uhid_dev_input", "hid_safe_input_report"),
    file("drivers/nvdimm/virtio_pmem.h"),
    file("drivers/nvdimm/nd_virtio.c"),
    file("drivers/nvme/host/tcp.c"),
    file("drivers/nvme/host/pci.c"),
    file("drivers/nvme/target/tcp.c"),
    file("drivers/gpio/gpio-mt7621.c"),
    file("drivers/input/misc/ims-pcu.c"),
    file("drivers/net/wireless/ath/ath11k/wmi.c", "ath11k_wmi_tlv_op_rx"),
    file("drivers/hwmon/pmbus/pmbus.h", "", "CLEAR_FAULTS"),
    file("drivers/hwmon/pmbus/pmbus_core.c", "pmbus_clear_faults", "CLEAR_FAULTS"),
    file("drivers/base/dd.c", "driver_deferred_probe"),
    file("net/ipv6/fib6_rules.c", "fib6_rule_suppress"),
    file("net/ipv6/ip6_fib.c", "fib6_walk"),
    file("drivers/net/ethernet/intel/e1000e/ethtool.c"),
    file("net/ethtool/ioctl.c"),
    file("io_uring/cancel.c", "io_cancel_cb", "io_uring"),
    file("io_uring/io_uring.c", "io_ring_exit_work"),
    file("mm/damon/sysfs.c"),
    file("mm/damon/sysfs-schemes.c"),
    file("drivers/net/team/team.c"),
    file("drivers/net/team/team_mode_broadcast.c"),
    file("security/apparmor/include/cred.h", "begin_current_label_crit_section"),
    file("security/apparmor/lsm.c", "apparmor_exit"),
    file("security/apparmor/policy.c", "aa_replace_profiles"),
    *(file(f"drivers/gpu/drm/part_{number}.c") for number in range(MOST_FILES + 1)),
)


DAMON = ("mm/damon/sysfs-schemes.c", "mm/damon/sysfs.c")


def match(title: str) -> FileMatch:
    return Matcher(CHANGES).match(title)


@pytest.mark.parametrize(
    ("title", "path", "because"),
    [
        (
            "smb: client: fix OOB read/write from unvalidated DataOffset in coalesce_t2()",
            "fs/smb/client/smb2transform.c",
            ("coalesce_t2",),
        ),
        (
            "wifi: ath11k: Avoid buffer overread in ath11k_wmi_tlv_op_rx()",
            "drivers/net/wireless/ath/ath11k/wmi.c",
            ("ath11k_wmi_tlv_op_rx",),
        ),
        (
            'Revert "wifi: ath11k: Avoid buffer overread in ath11k_wmi_tlv_op_rx()"',
            "drivers/net/wireless/ath/ath11k/wmi.c",
            ("ath11k_wmi_tlv_op_rx",),
        ),
    ],
)
def test_sure_by_a_name_that_one_file_has(title: str, path: str, because: tuple[str, ...]) -> None:
    assert match(title) == FileMatch(Certainty.NAME, (path,), because)


@pytest.mark.parametrize(
    ("title", "path"),
    [
        ("HID: uhid: convert to hid_safe_input_report()", "drivers/hid/uhid.c"),
        ("nvme-tcp: fix potential memory corruption", "drivers/nvme/host/tcp.c"),
        ("mm/damon/sysfs: put target pids", "mm/damon/sysfs.c"),
        ("gpio: mt7621: avoid corruption of shared state", "drivers/gpio/gpio-mt7621.c"),
        ("Input: ims-pcu - add response length checks", "drivers/input/misc/ims-pcu.c"),
        (
            "wifi: ath11k: skip status ring entry processing",
            "drivers/net/wireless/ath/ath11k/wmi.c",
        ),
    ],
)
def test_sure_by_a_place_that_one_file_is(title: str, path: str) -> None:
    found = match(title)
    assert (found.certainty, found.files) == (Certainty.PLACE, (path,))
    assert found.certainty.is_sure


def test_headers_go_with_the_one_source_file() -> None:
    found = match("hwmon: (pmbus) Clear generic status alarms with CLEAR_FAULTS")
    files = ("drivers/hwmon/pmbus/pmbus.h", "drivers/hwmon/pmbus/pmbus_core.c")
    assert (found.certainty, found.files) == (Certainty.PLACE, files)


@pytest.mark.parametrize(
    ("title", "files"),
    [
        # The only disconnect() that changes is Bluetooth's.
        (
            "mptcp: prevent race between disconnect() and rtx",
            ("net/mptcp/protocol.c", "net/mptcp/subflow.c"),
        ),
        # Of two files, one has the directory's name, which says nothing.
        (
            "team: fix the mode",
            tuple(f"drivers/net/team/{name}.c" for name in ("team", "team_mode_broadcast")),
        ),
        # The place is a name of C too, which one of the files has in a changed line.
        ("io_uring: do not flood a task", ("io_uring/cancel.c", "io_uring/io_uring.c")),
        # There are two places.
        ("nvme-pci, damon/sysfs: fix it", ("drivers/nvme/host/pci.c", *DAMON)),
        # Many files have that name for what they do.
        (
            "ethtool: fail closed if we can't get max channel used",
            ("drivers/net/ethernet/intel/e1000e/ethtool.c", "net/ethtool/ioctl.c"),
        ),
        # The function is in another file, whose name has not that word.
        (
            "ipv6: fib6: fix NULL deref in fib6_walk_continue() on multi-batch dump",
            ("net/ipv6/fib6_rules.c",),
        ),
        # What uses the inline function changes too.
        (
            "apparmor: fix cred UAF caused by begin_current_label_crit_section()",
            tuple(f"security/apparmor/{name}" for name in ("include/cred.h", "lsm.c", "policy.c")),
        ),
        # The source file that goes with the header has another name.
        ("nvdimm: virtio_pmem: refcount requests", ("drivers/nvdimm/virtio_pmem.h",)),
        (
            "cifs: fix underflow when len == 0",
            tuple(
                f"fs/smb/client/{name}" for name in ("cifsglob.h", "smb2transform.c", "transport.c")
            ),
        ),
    ],
)
def test_likely_where_several_are_possible(title: str, files: tuple[str, ...]) -> None:
    found = match(title)
    assert (found.certainty, found.files) == (Certainty.LIKELY, files)
    assert not found.certainty.is_sure


@pytest.mark.parametrize(
    "title",
    [
        "drm: Fix drm_crtc_commit leak",  # more places than say something
        "reiserfs: convert to simple_rename_timestamp",  # nothing of it changes
        "ensure interrupts are enabled in __do_user_fault()",  # no place
        "driver core: Fix missing jiffies conversion",  # its words are in every path
        "Sign kernel from linux 6.1.192-1",
        "",
    ],
)
def test_unsure_otherwise(title: str) -> None:
    found = match(title)
    assert (found.certainty, found.files) == (Certainty.UNSURE, ())


@pytest.mark.parametrize(
    ("title", "places"),
    [
        ("smb: client: fix it", "smb client"),
        ("drm/amd/display: fix it", "drm amd display"),
        ("net, bpf: check master for NULL", "net, bpf"),
        ("lockd, nfsd: RCU-protect nlmsvc_ops dispatch", "lockd, nfsd"),
        ("hwmon: (nzxt-smart2) Check it", "hwmon nzxt-smart2"),
        ("Input: ims-pcu - fix it", "input ims-pcu"),
        ("KVM: x86/mmu: fix: it", "kvm x86 mmu"),
        ('scsi: Revert "scsi: Fix it: now"', "scsi"),
        ("lib/ucs2_string.c: fix it", "lib ucs2_string.c"),
        ("no place", ""),
    ],
)
def test_the_place_is_what_stands_before_colons(title: str, places: str) -> None:
    assert ", ".join(map(" ".join, places_of(title))) == places


def test_without_changes_nothing_matches() -> None:
    assert Matcher([]).match("smb: client: fix f()").certainty is Certainty.UNSURE
