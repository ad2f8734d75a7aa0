# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes a boot load what is kept: two units of systemd's, and for those who want it a hook for
the initramfs.

They name the Python and the Suture that run this (`suture.host.deployment`).  Both have to be
root's alone, like everything that root runs at boot.  The Debian package brings the units itself,
in ``/usr/lib/systemd/system``.
"""

from __future__ import annotations

from pathlib import Path

from suture.core import trusted
from suture.errors import SYSTEMD_MISSING, Refusal
from suture.host import deployment, run
from suture.host.packages import SEARCH_PATH

UNITS = Path("/etc/systemd/system")
SYSTEMD_RUNS = Path("/run/systemd/system")
"""``sd_booted(3)``"""

BOOT = "suture.service"
CONFIRM = "suture-confirm.service"

BOOT_UNIT = """\
# {maker}.
[Unit]
Description=Load the live patches installed for this kernel
Documentation=man:suture(1)
DefaultDependencies=no
Conflicts=shutdown.target
RequiresMountsFor=/var/lib/suture
After=local-fs.target systemd-modules-load.service
Wants=network-pre.target
Before=network-pre.target shutdown.target
ConditionKernelCommandLine=!suture.disable
ConditionKernelCommandLine=!suture.disable=1
ConditionDirectoryNotEmpty=/var/lib/suture/%v

[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec=10min
ExecStart={start} suture.core.boot

[Install]
WantedBy=multi-user.target
"""

CONFIRM_UNIT = """\
# {maker}.
[Unit]
Description=Confirm that this boot succeeded with its live patches
Documentation=man:suture(1)
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
After=suture.service multi-user.target
ConditionKernelCommandLine=!suture.disable
ConditionKernelCommandLine=!suture.disable=1
ConditionDirectoryNotEmpty=/var/lib/suture/%v

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={start} suture.core.boot --confirm

[Install]
WantedBy=multi-user.target
"""

UNIT_TEMPLATES = {BOOT: BOOT_UNIT, CONFIRM: CONFIRM_UNIT}
"""File name -> template (`suture.host.deployment.Deployment.fill`)."""


def ensure(units: Path = UNITS) -> bool:
    """See to it that the next boot loads what is kept.

    :return: whether something had to be changed for that.
    :raises Refusal: ``systemd-missing``, ``path-untrusted``, ``store-unwritable``,
        ``command-failed``
    """
    refuse_without_systemd()
    check_code()
    here = deployment.this()
    wanted = {} if here.is_packaged else UNIT_TEMPLATES
    texts = {name: here.fill(template).encode() for name, template in wanted.items()}
    with trusted.open_directory(units) as directory:
        there = directory.names()
        if all(
            name in there and directory.read(name) == text for name, text in texts.items()
        ) and _enabled(directory):
            return False
        for name, text in texts.items():
            directory.write(name, text)
    systemctl("daemon-reload")
    systemctl("enable", BOOT, CONFIRM)
    return True


def refuse_without_systemd() -> None:
    """Refuse a host that systemd does not run.  :raises Refusal: ``systemd-missing``"""
    if not SYSTEMD_RUNS.is_dir():
        raise Refusal(SYSTEMD_MISSING, "this host", "was not booted with systemd")


def _enabled(directory: trusted.Directory) -> bool:
    """Whether systemd would start them, by the links that 'systemctl enable' makes."""
    try:
        with directory.open("multi-user.target.wants") as wants:
            return {BOOT, CONFIRM} <= set(wants.names())
    except FileNotFoundError:
        return False


def check_code() -> None:
    """Whether Python and Suture are what root may run at each boot.  :raises Refusal:
    ``path-untrusted``"""
    here = deployment.this()
    for place in (here.python.parent.resolve(), here.python.resolve().parent):
        trusted.open_directory(place).__exit__()
    code = here.code.resolve()
    with trusted.open_directory(code.parent) as directory:
        directory.check(code.name)


def systemctl(*words: str) -> None:
    """Run systemctl with a fixed PATH.

    :raises Refusal: ``command-failed``, ``tool-missing``
    """
    run.check(["systemctl", "--quiet", *words], env={"PATH": SEARCH_PATH})
