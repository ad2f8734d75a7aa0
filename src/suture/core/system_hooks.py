# SPDX-License-Identifier: GPL-2.0-or-later
"""Files by which other programs of the host ask Suture or tell it something, each in a directory
that the program has for this.

They name the Python and the Suture that run this, as the units do (`suture.core.units`), and do
nothing once these are gone: a hook that fails would fail the installation of a kernel.  A host
without such a program has no such directory, and gets no file.  The Debian package brings the same
files, as its configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from suture.core import trusted, units
from suture.host import deployment

ETC = Path("/etc")


@dataclass(frozen=True, slots=True)
class SystemHook:
    """One file.

    :ivar path: below ``/etc``.
    :ivar template: its contents (`suture.host.deployment.Deployment.fill`).
    :ivar mode: as for chmod(2); programs are executable.
    :ivar about: what it brings about, for people.
    """

    path: str
    template: str
    about: str
    mode: int = 0o755


HOOKS = (
    SystemHook(
        "update-motd.d/60-suture",
        """\
#!/bin/sh
# {maker}.  Logins show it (pam_motd(8)) where live patches need attention.
[ -x {python} ] && [ -e {code} ] || exit 0
exec {start} suture.core.login
""",
        "logins say where live patches need attention",
    ),
    SystemHook(
        "kernel/postinst.d/zz-suture",
        """\
#!/bin/sh
# {maker}.  Packages of kernels run it with the release when they are installed.
[ -d /var/lib/suture ] && [ -x {python} ] && [ -e {code} ] || exit 0
# Halfway through an upgrade of the host, Python may lack a part of its library.
{start} suture.core.upgrade "$1" || echo "suture: what becomes of live patches with $1 is not known"
""",
        "packages of new kernels say which live patches they lack",
    ),
    SystemHook(
        "apt/apt.conf.d/60suture",
        """\
// {maker}.  The same once more, when apt is done, and then suture-rebuild.service
// where it is wanted ('suture store hooks --rebuild').
DPkg::Post-Invoke {{
  "test ! -e /run/suture-upgrade || test ! -x {python} || \
test ! -e {code} || {start} suture.core.upgrade --at-end || true";
}};
""",
        "apt repeats it at its end",
        0o644,
    ),
    SystemHook(
        "needrestart/conf.d/suture.conf",
        """\
# {maker}.  These units have no process that could use an old library, and
# starting them again would load what was unloaded on purpose.
$nrconf{{override_rc}}->{{qr(^suture(-confirm|-follow|-rebuild)?\\.service$)}} = 0;
""",
        "needrestart leaves the units of live patches alone",
        0o644,
    ),
)
"""In the order in which they are written."""

REBUILD = "suture-rebuild.service"

REBUILD_UNIT = """\
# Made by 'suture store hooks --rebuild'.
[Unit]
Description=Build live patches again for the newest installed kernel
Documentation=man:suture(1)
ConditionPathExists={code}
ConditionDirectoryNotEmpty=/var/lib/suture

[Service]
Type=oneshot
Nice=19
IOSchedulingClass=idle
ExecStart={start} suture rebuild
"""

METRICS, METRICS_SERVICE = "suture-metrics.timer", "suture-metrics.service"

METRICS_UNIT = """\
# Made by 'suture store hooks --metrics'.
[Unit]
Description=Write the state of live patches for node_exporter
Documentation=man:suture(1)
ConditionPathExists={code}

[Service]
Type=oneshot
ExecStart={start} suture status --notify --prometheus {file}
"""

METRICS_TIMER = """\
# Made by 'suture store hooks --metrics'.
[Unit]
Description=Write the state of live patches each minute
Documentation=man:suture(1)

[Timer]
OnBootSec=1min
OnUnitActiveSec=1min
AccuracySec=10s

[Install]
WantedBy=timers.target
"""

FOLLOW, FOLLOW_SERVICE = "suture-follow.timer", "suture-follow.service"

FOLLOW_UNIT = """\
# Made by 'suture follow setup'.
[Unit]
Description=Follow a repository of live patches
Documentation=man:suture(1)
ConditionPathExists={code}
ConditionPathExists=/etc/suture/follow.toml
ConditionKernelCommandLine=!suture.disable
ConditionKernelCommandLine=!suture.disable=1
After=suture.service network-online.target

[Service]
Type=oneshot
Nice=5
TimeoutStartSec=30min
ExecStart={start} suture follow run
"""

FOLLOW_TIMER = """\
# Made by 'suture follow setup'.
[Unit]
Description=Follow a repository of live patches, each quarter of an hour
Documentation=man:suture(1)

[Timer]
OnBootSec=3min
OnUnitActiveSec=15min
RandomizedDelaySec=5min
AccuracySec=10s

[Install]
WantedBy=timers.target
"""
"""Hosts that boot together do not ask together."""


def enable(etc: Path = ETC, owner: int = 0) -> tuple[str, ...]:
    """Write the files whose directories are there.

    :return: the paths of those that were not there, or were others.
    :raises Refusal: ``path-untrusted``, ``store-unwritable``
    """
    units.check_code()
    return tuple(path for hook in HOOKS if (path := _write(hook, etc, owner)))


def disable(etc: Path = ETC, owner: int = 0) -> tuple[str, ...]:
    """Remove the files, and return their paths.

    :raises Refusal: ``path-untrusted``, ``store-unwritable``
    """
    removed = []
    for hook in HOOKS:
        place = etc / hook.path
        if place.exists():
            with _directory(place, etc, owner) as directory:
                directory.remove(place.name)
            removed.append(str(place))
    return tuple(removed)


def start_rebuild(directory: Path = units.UNITS) -> bool:
    """Start the unit that builds live patches again, if it was made.

    :raises Refusal: ``command-failed``, ``tool-missing``
    """
    is_wanted = (directory / REBUILD).exists() and units.SYSTEMD_RUNS.is_dir()
    if is_wanted:
        units.systemctl("start", "--no-block", REBUILD)
    return is_wanted


def set_rebuild(wanted: bool) -> bool:
    """Make or remove the unit that builds live patches again after kernel upgrades.

    :return: whether that changed anything
    :raises Refusal: ``systemd-missing``, ``path-untrusted``, ``store-unwritable``,
        ``command-failed``
    """
    return _set_units({REBUILD: deployment.this().fill(REBUILD_UNIT)} if wanted else {}, REBUILD)


def set_metrics(file: str) -> bool:
    """Make or remove the timer that writes metrics each minute.

    :param file: an absolute path, of characters that need no quotes in a unit; "" for no timer.
    :return: whether that changed anything
    :raises Refusal: as `set_rebuild`
    """
    texts = {
        METRICS_SERVICE: deployment.this().fill(METRICS_UNIT, file=file),
        METRICS: METRICS_TIMER,
    }
    changed = _set_units(texts if file else {}, *texts)
    if changed and file:
        units.systemctl("enable", "--now", METRICS)
    return changed


def set_follow(wanted: bool) -> bool:
    """Make or remove the timer that follows a repository.

    :return: whether that changed anything
    :raises Refusal: as `set_rebuild`
    """
    texts = {FOLLOW_SERVICE: deployment.this().fill(FOLLOW_UNIT), FOLLOW: FOLLOW_TIMER}
    changed = _set_units(texts if wanted else {}, *texts)
    if changed and wanted:
        units.systemctl("enable", "--now", FOLLOW)
    return changed


def _set_units(texts: Mapping[str, str], *names: str) -> bool:
    """Write units, or remove those of `names` that have no text."""
    directory = units.UNITS
    there = {name: _text(directory / name) for name in names}
    if there == {name: texts.get(name, "") for name in names}:
        return False
    units.refuse_without_systemd()
    if texts:
        units.check_code()
    timers = [name for name in names if name.endswith(".timer") and there[name] and not texts]
    if timers:
        units.systemctl("disable", "--now", *timers)
    with trusted.open_directory(directory) as found:
        for name in names:
            if name in texts:
                found.write(name, texts[name].encode())
            else:
                found.remove(name)
    units.systemctl("daemon-reload")
    return True


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _write(hook: SystemHook, etc: Path, owner: int) -> str:
    place = etc / hook.path
    if not place.parent.is_dir():
        return ""
    content = deployment.this().fill(hook.template).encode()
    with _directory(place, etc, owner) as directory:
        if place.name in directory.names() and directory.read(place.name) == content:
            return ""
        directory.write(place.name, content, mode=hook.mode)
    return str(place)


def _directory(place: Path, etc: Path, owner: int) -> trusted.Directory:
    anchor = Path("/") if etc == ETC else etc
    return trusted.open_directory(place.parent, anchor=anchor, owner=owner)
