# SPDX-License-Identifier: GPL-2.0-or-later
"""A small real Debian, systemd and all, as a file system image that any target boots from.

It is made by mmdebstrap from the archives that this host's apt uses, of the release that this host
runs, and kept in the cache under a name that says what went into it.  Nothing of Suture and no
kernel is in it: those come from `suture.lab.installed` and from the target.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from suture.errors import ARCHIVE_UNREACHABLE, COMMAND_FAILED, Refusal
from suture.host import files, paths, progress, run
from suture.host.packages import SEARCH_PATH
from suture.lab.disk import as_root_would, ext4_command, keep, program, scratch_parent

RECIPE = 1
"""Of how the rest of this file makes the image; to be raised when that changes."""

PACKAGES = (
    "iproute2",
    "kmod",
    "procps",
    "python3",
    "strace",
    "systemd",
    "systemd-sysv",
    "util-linux",
)
"""What is in it beside the packages that Debian marks essential.  No udev: nothing waits for
devices."""

EXCLUDED = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")

MASKED = (
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "getty.target",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount",
    "remote-fs.target",
    "systemd-logind.service",
    "systemd-network-generator.service",
    "systemd-pstore.service",
    "systemd-random-seed.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "systemd-user-sessions.service",
)
"""Units that a throwaway machine has no use for: each costs an emulated processor a second or
so."""

ENABLED = {"systemd-networkd.service": "multi-user.target.wants"}
"""A real network daemon, so that there is something to be earlier than."""

FILES = {
    "etc/hostname": "lab\n",
    "etc/hosts": "127.0.0.1 localhost lab\n",
    "etc/fstab": "",
    # A machine without one goes through systemd's first boot, which enables units anew
    # (machine-id(5)).
    "etc/machine-id": f"{hashlib.md5(b'suture lab', usedforsecurity=False).hexdigest()}\n",
}

SIZE = "1G"
"""Of the file system.  The image is sparse: what nobody wrote takes no space."""


class DebianGuest:
    """The `suture.lab.guests.GuestSystem`."""

    id = "debian"
    # The guest's Python is of this version: both are this host's release.
    python_packages = Path(
        f"lib/python{sys.version_info.major}.{sys.version_info.minor}/dist-packages"
    )

    def image(self) -> Path:
        return image()


def image() -> Path:
    """The file system image, made if it is not in the cache; never to be written to.

    :raises Refusal: ``archive-unreachable``, ``tool-missing``, ``command-failed``, ``disk-full``
    """
    sources = _sources()
    recipe = "\n".join((str(RECIPE), *PACKAGES, *EXCLUDED, *_settings(), SIZE, *sources))
    final = (
        paths.cache()
        / "lab"
        / f"debian-{_codename()}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.ext4"
    )
    with files.locked(final.with_suffix(".lock")):
        if not final.exists():
            with (
                progress.step("Making a small Debian", _codename()),
                tempfile.TemporaryDirectory(prefix="suture-", dir=scratch_parent()) as work,
            ):
                os.chmod(
                    work, 0o711
                )  # mmdebstrap works as another user than we are where we are not root
                keep(_make(Path(work), sources), final)
    return final


def _make(work: Path, sources: Sequence[str]) -> Path:
    """The image, in `work`."""
    archive, listed, made = work / "root.tar", work / "sources.list", work / "root.ext4"
    listed.write_text("".join(f"{line}\n" for line in sources))
    options = ["force-unsafe-io", *(f"path-exclude={pattern}" for pattern in EXCLUDED)]
    command: list[str | Path] = [
        *(
            program("mmdebstrap"),
            "--quiet",
            "--variant=essential",
            f"--include={','.join(PACKAGES)}",
        ),
        *(f"--dpkgopt={option}" for option in options),
        *(f"--customize-hook={line}" for line in _settings()),
        *("--format=tar", _codename(), archive, listed),
    ]
    environment = {**os.environ, "TMPDIR": str(work), "PATH": SEARCH_PATH}
    finished = run.run(command, env=environment)
    if finished.status != 0:
        said = finished.stderr.strip().splitlines()[-run.EVIDENCE_LINES :]
        fetching = any("Failed to fetch" in line or "apt-get update" in line for line in said)
        kind = ARCHIVE_UNREACHABLE if fetching else COMMAND_FAILED
        raise Refusal(kind, "mmdebstrap", f"it ended with status {finished.status}", evidence=said)
    tree = work / "root"
    tree.mkdir()
    # In a user namespace there are no device nodes to be made; the kernel mounts its own. What
    # belongs to others there has to be removed there as well.
    unpack = f'tar -xf {archive} -C {tree} --exclude "./dev/*" && "$@" && rm -rf {tree}/*'
    run.check(
        as_root_would(["sh", "-c", unpack, "sh", *ext4_command(tree, made, SIZE)]),
        where="the small Debian",
        env=environment,
    )
    return made


def _settings() -> list[str]:
    """Shell lines for mmdebstrap's hooks; ``$1`` is the new root."""
    units = 'cd "$1/etc/systemd/system"'
    written = [
        f"printf '{text}' >\"$1/{name}\"".replace("\n", "\\n") for name, text in FILES.items()
    ]
    masked = [f"{units} && ln -sf /dev/null {unit}" for unit in MASKED]
    enabled = [
        f"{units} && mkdir -p {wants} && ln -sf /lib/systemd/system/{unit} {wants}/"
        for unit, wants in ENABLED.items()
    ]
    return [*written, *masked, *enabled]


def _sources() -> list[str]:
    """Lines of sources.list(5) for the archives of Debian's that apt uses here.

    :raises Refusal: ``archive-unreachable``, ``tool-missing``
    """
    form = "$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)"
    listed = run.check(
        ["apt-get", "indextargets", "--format", form, "Created-By: Packages"], where="apt"
    ).stdout
    lines = (line.split() for line in listed.splitlines())
    found = sorted(
        {
            " ".join(("deb", *words[1:]))
            for words in lines
            if words[0] == "Debian" and len(words) == 4
        }
    )
    if not found:
        raise Refusal(ARCHIVE_UNREACHABLE, "apt", "its lists name no archive of Debian's")
    return found


def _codename() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
