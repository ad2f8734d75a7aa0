# SPDX-License-Identifier: GPL-2.0-or-later
"""The throwaway machine, with real boots."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from suture.errors import Refusal
from suture.host import paths
from suture.kernel.release import Target
from suture.lab import accel, initramfs
from suture.lab.machine import Machine, platform_of
from suture.lab.qemu import Accelerator, Qemu, Wire
from tests.examples import shows

NOISE = os.urandom(1 << 20)


def test_the_target_itself_is_what_runs(machine: Machine, target: Target) -> None:
    assert machine.run("uname -r").text == f"{target.release}\n"
    assert f"Linux version {target.release} " in machine.kernel_log()


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status_and_output_come_back(machine: Machine, status: int) -> None:
    result = machine.run(f"echo out; echo err >&2; exit {status}")
    assert (result.status, result.text) == (status, "out\nerr\n")


def test_a_command_of_several_lines_with_quotes_runs_as_it_stands(machine: Machine) -> None:
    assert (
        machine.run("for i in 1 2; do\n\techo \"'$i'\\\\\"\ndone # end").output == b"'1'\\\n'2'\\\n"
    )


def test_a_command_that_is_no_command_is_reported_by_its_status(machine: Machine) -> None:
    assert machine.run("no-such-command").status == 127
    assert machine.run("if").status == 2
    assert machine.run("kill -9 $$").status == 137


def test_a_command_reads_nothing_of_the_line_to_the_agent(machine: Machine) -> None:
    assert machine.run("cat; ls /proc/self/fd").text.split() == [
        "0",
        "1",
        "2",
        "3",
    ]  # 3 is ls's own


def test_every_byte_of_a_megabyte_passes_in_both_directions(machine: Machine) -> None:
    machine.put("/tmp/new directory/noise", NOISE)
    assert (
        machine.run("md5sum <'/tmp/new directory/noise'").text.split()[0]
        == hashlib.md5(NOISE).hexdigest()
    )
    assert machine.run("cat '/tmp/new directory/noise'; rm -r '/tmp/new directory'").output == NOISE


def test_an_empty_file_can_be_put(machine: Machine) -> None:
    machine.put("/tmp/empty", b"")
    assert machine.run("wc -c </tmp/empty && rm /tmp/empty").text == "0\n"


def test_files_given_at_boot_are_there(machine: Machine) -> None:
    assert machine.run("cat /lab/given").output == bytes(range(256))


def test_a_file_that_cannot_be_put_is_refused(machine: Machine) -> None:
    for path in ("/proc/no-such-file", "/lab/given/below"):
        with pytest.raises(Refusal) as refusal:
            machine.put(path, b"x")
        assert refusal.value.code == "lab-put-failed"
    shows(refusal.value, "lab-put-failed")


def test_what_a_command_leaves_running_does_not_disturb_the_next(machine: Machine) -> None:
    machine.run("(for i in 1 2 3 4 5 6 7 8 9; do echo left; sleep 0.05; done) & sleep 0.1")
    for _ in range(8):
        assert machine.run("echo next; sleep 0.05").text == "next\n"


def test_a_file_that_does_not_fit_is_refused_and_the_machine_goes_on(machine: Machine) -> None:
    machine.run("mkdir /small && mount -t tmpfs -o size=300k small /small")
    with pytest.raises(Refusal) as refusal:
        machine.put("/small/noise", NOISE)
    assert refusal.value.code == "lab-put-failed"
    assert machine.run("umount /small; rmdir /small; echo on").text == "on\n"


def test_a_module_is_loaded_with_all_it_needs(machine: Machine) -> None:
    result = machine.run("modprobe ext4 && lsmod && modprobe -r ext4")
    assert result.status == 0
    assert {"ext4", "jbd2", "mbcache"} <= {line.split()[0] for line in result.text.splitlines()}


def test_a_module_that_the_target_does_not_have_is_refused(target: Target) -> None:
    with pytest.raises(Refusal, match="no_such_module") as refusal:
        Machine.boot(target, modules=["no_such_module"])
    assert refusal.value.code == "module-not-found"


def test_a_stock_kernel_boots_without_a_complaint_and_says_so_in_its_log(machine: Machine) -> None:
    assert "Run /init as init process" in machine.kernel_log()
    assert machine.complaints() == ()


def test_a_line_is_in_the_log_as_soon_as_the_kernel_has_said_it(machine: Machine) -> None:
    for number in range(20):
        machine.run(f"dmesg -n 1; echo 'line {number} of the test' >/dev/kmsg")
        assert f"line {number} of the test\n" in machine.kernel_log()


def test_a_deadline_ends_a_command_that_does_not(target: Target) -> None:
    with Machine.boot(target) as machine:
        machine.run("echo 'WARNING: said before' >/dev/kmsg")
        with pytest.raises(Refusal, match="sleep 1000") as refusal:
            machine.run("sleep 1000", deadline=0.5)
        shows(refusal.value, "lab-deadline")
        assert any("said before" in line for line in refusal.value.evidence)
        with pytest.raises(Refusal) as again:
            machine.run("true")
        assert again.value.code == "lab-guest-died"
        assert [complaint.what for complaint in machine.complaints()] == ["WARNING"]


def test_a_kernel_that_panics_is_reported_with_its_last_words(target: Target) -> None:
    with Machine.boot(target) as machine:
        with pytest.raises(
            Refusal, match="Kernel panic - not syncing: sysrq triggered crash"
        ) as refusal:
            machine.run("echo c >/proc/sysrq-trigger")
        shows(refusal.value, "lab-guest-died")
        assert any("sysrq_handle_crash" in line for line in refusal.value.evidence)
        assert "panic" in {complaint.what for complaint in machine.complaints()}


def test_a_machine_that_is_powered_off_has_shut_down_and_keeps_its_log(target: Target) -> None:
    with Machine.boot(target) as machine:
        machine.power_off()
        assert "reboot: Power down" in machine.kernel_log()
        assert not Path(f"/proc/{machine.pid}").exists()


def test_the_serial_wire_serves_a_kernel_without_virtio(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suture.lab.machine.wire_modules", lambda platform: ("no_such_driver",))
    with Machine.boot(target) as machine:
        machine.put("/tmp/noise", NOISE[:40000])
        assert machine.run("cat /tmp/noise; ls /dev/vport*").output.startswith(NOISE[:40000])


def test_a_target_that_does_not_boot_is_refused_with_what_it_said(target: Target) -> None:
    with pytest.raises(Refusal) as refusal:
        Machine.boot(target, deadline=0.5)
    shows(refusal.value, "lab-boot-failed")


def test_an_image_that_is_none_is_refused_with_what_qemu_said(target: Target) -> None:
    qemu = Qemu(
        platform_of(target),
        Accelerator.TCG,
        target.config,
        initramfs.build({}),
        Wire.SERIAL,
        memory=128,
    )
    try:
        assert qemu.wait(10)
        assert "kernel" in qemu.messages()
    finally:
        qemu.close()


def test_the_accelerator_chosen_is_one_that_boots(
    target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    chosen = accel.choose(target.vmlinuz, platform_of(target))
    assert accel.boots(chosen, target.vmlinuz, platform_of(target), deadline=60)
    assert (paths.cache() / "lab" / "accelerator.json").exists() == os.access(
        accel.DEVICE, os.R_OK | os.W_OK
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_qemu_outlives_us(target: Target, how: signal.Signals) -> None:
    program = (
        "from pathlib import Path; from suture.arch.x86_64.virtual_machine import *; from suture.lab.qemu import *; from suture.lab.channel import *; import time\n"
        f"qemu = Qemu(VIRTUAL_MACHINE, Accelerator.TCG, Path({str(target.vmlinuz)!r}), b'', Wire.SERIAL, memory=128)\n"
        "print(qemu.pid, flush=True)\n"
        "try: Channel(qemu.wire).wait_ready(time.monotonic() + 600)\n"
        "finally: qemu.close()\n"
    )
    with subprocess.Popen(
        # A shell lets what it starts in the background ignore SIGINT, these tests included.
        ["env", "--default-signal", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        command = Path(f"/proc/{pid}/cmdline")
        while b"qemu" not in command.read_bytes().split(b"\0")[0]:
            time.sleep(0.01)
        process.send_signal(how)
        process.wait(10)
    deadline = time.monotonic() + 10
    while command.exists() and command.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not command.exists() or not command.read_bytes()


def test_a_module_gets_what_it_asks_for_without_naming_its_symbols(machine: Machine) -> None:
    """xfs needs libcrc32c, which looks for an algorithm that another module registers."""
    assert machine.run("modprobe xfs && rmmod xfs").text == ""
