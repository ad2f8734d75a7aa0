# SPDX-License-Identifier: GPL-2.0-or-later
"""A small real Debian with systemd, as a file system image for any target.

mmdebstrap makes it from the archives of this host's apt, of the release that this host runs.  The
cache keeps it under a digest of its recipe.  It contains neither Suture nor a kernel: those come
from `suture.lab.installed` and from the target.
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
"""Version of this file's recipe for the image; to be raised when that changes."""

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
"""Its packages, besides those that Debian marks essential.  It has no udev: nothing waits for
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
"""Units that a temporary machine does not need: each takes about a second on an emulated
processor."""

ENABLED = {"systemd-networkd.service": "multi-user.target.wants"}
"""A real network daemon, so that tests can check that live patches are loaded before it."""

FILES = {
    "etc/hostname": "lab\n",
    "etc/hosts": "127.0.0.1 localhost lab\n",
    "etc/fstab": "",
    # A machine without one goes through systemd's first boot, which enables units anew
    # (machine-id(5)).
    "etc/machine-id": f"{hashlib.md5(b'suture lab', usedforsecurity=False).hexdigest()}\n",
}

SIZE = "1G"
"""Size of the file system.  The image is sparse: unused blocks take no space."""


class DebianGuest:
    """The `suture.lab.guests.GuestSystem` for Debian."""

    id = "debian"
    # The guest's Python is of this version: both are this host's release.
    python_packages = Path(
        f"lib/python{sys.version_info.major}.{sys.version_info.minor}/dist-packages"
    )

    def image(self) -> Path:
        """Return the file system image (`image`)."""
        return image()


def image() -> Path:
    """Return the file system image, which must not be written to; make it if the cache lacks it.

    :raises Refusal: ``archive-unreachable``, ``tool-missing``, ``command-failed``, ``disk-full``
    """
    sources = apt_sources()
    recipe = "\n".join((str(RECIPE), *PACKAGES, *EXCLUDED, *_settings(), SIZE, *sources))
    final = (
        paths.cache()
        / "lab"
        / f"debian-{codename()}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.ext4"
    )
    with files.locked(final.with_suffix(".lock")):
        if not final.exists():
            with (
                progress.step("Making a small Debian", codename()),
                tempfile.TemporaryDirectory(prefix="suture-", dir=scratch_parent()) as work,
            ):
                # Without root rights, mmdebstrap runs as another user.
                os.chmod(work, 0o711)
                keep(_make(Path(work), sources), final)
    return final


def _make(work: Path, sources: Sequence[str]) -> Path:
    """Make the image in `work`, and return its path."""
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
        *("--format=tar", codename(), archive, listed),
    ]
    environment = {**os.environ, "TMPDIR": str(work), "PATH": SEARCH_PATH}
    finished = run.run(command, env=environment)
    if finished.status != 0:
        lines = finished.stderr.strip().splitlines()[-run.EVIDENCE_LINES :]
        fetching = any("Failed to fetch" in line or "apt-get update" in line for line in lines)
        kind = ARCHIVE_UNREACHABLE if fetching else COMMAND_FAILED
        found = f"it exited with status {finished.status}"
        raise Refusal(kind, "mmdebstrap", found, evidence=lines)
    tree = work / "root"
    tree.mkdir()
    # A user namespace cannot make device nodes; the kernel mounts its own /dev.  Files of other
    # users in the namespace have to be removed there as well.
    unpack = f'tar -xf {archive} -C {tree} --exclude "./dev/*" && "$@" && rm -rf {tree}/*'
    run.check(
        as_root_would(["sh", "-c", unpack, "sh", *ext4_command(tree, made, SIZE)]),
        where="the small Debian",
        env=environment,
    )
    return made


def _settings() -> list[str]:
    """Return shell lines for mmdebstrap's hooks; ``$1`` is the new root."""
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


def apt_sources() -> list[str]:
    """Return lines of sources.list(5) for the Debian archives of this host's apt.

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
        raise Refusal(ARCHIVE_UNREACHABLE, "apt", "its lists have no Debian archive")
    return found


def codename() -> str:
    """Return the name of the release that this host runs."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
