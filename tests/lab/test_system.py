# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest with a real Debian: it comes up, has Suture, and keeps its disk over a reboot and a loss of power."""

from __future__ import annotations

from suture import __version__
from suture.kernel.release import Target
from suture.lab.system import System


def test_a_small_debian_comes_up_with_systemd_and_keeps_its_disk(target: Target) -> None:
    with System.make(target) as system:
        with system.boot(modules=["loop"], files={"/opt/lab/given": b"brought\n"}) as machine:
            assert machine.run("systemctl is-system-running --wait", deadline=120).text == "running\n"
            assert machine.run("cat /proc/1/comm; uname -r").text.split() == ["systemd", target.release]
            assert machine.run("suture --version").text == f"suture {__version__}\n"
            assert machine.run("modprobe loop && cat /opt/lab/given").text == "brought\n"
            machine.run("echo kept >/root/kept && sync; echo lost >/run/lost")
            assert machine.complaints() == ()
        with system.boot() as machine:
            assert machine.run("cat /root/kept /opt/lab/given; ls /run/lost").text.splitlines()[:2] == [
                "kept",
                "brought",
            ]
            machine.power_off(deadline=60)
            assert "reboot: Power down" in machine.kernel_log()
