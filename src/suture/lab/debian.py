# SPDX-License-Identifier: GPL-2.0-or-later
"""A small real Debian with systemd, as a file system image for any target.

mmdebstrap makes it; for the lab's guests from the archives of this host's apt, of the release that
this host runs.  The cache keeps it under a digest of its recipe.  It contains neither Suture nor a
kernel: those come from `suture.lab.installed` and from the target.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
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
        """Return the file system image (`SmallDebian.image`)."""
        sources = "".join(f"{line}\n" for line in apt_sources())
        return SmallDebian(codename(), sources).image()


@dataclass(frozen=True, slots=True)
class SmallDebian:
    """A small Debian with systemd.

    :ivar suite: the suite that it is of.
    :ivar sources: its archives, in either form of sources.list(5).
    :ivar more: what it has besides `PACKAGES`.
    :ivar settings: shell lines that complete it; ``$1`` is its root.
    """

    suite: str
    sources: str
    more: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()

    def image(self) -> Path:
        """Return the file system image, which must not be written to; make it if the cache lacks
        it.

        :raises Refusal: ``archive-unreachable``, ``tool-missing``, ``command-failed``,
            ``disk-full``
        """
        recipe = "\n".join(
            (str(RECIPE), *self._packages, *EXCLUDED, *self._hooks, SIZE, self.sources.rstrip("\n"))
        )
        digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
        final = paths.cache() / "lab" / f"debian-{self.suite}-{digest}.ext4"
        with files.locked(final.with_suffix(".lock")):
            if not final.exists():
                with (
                    progress.step("Making a small Debian", self.suite),
                    tempfile.TemporaryDirectory(prefix="suture-", dir=scratch_parent()) as work,
                ):
                    # Without root rights, mmdebstrap runs as another user.
                    os.chmod(work, 0o711)
                    keep(self._make(Path(work)), final)
        return final

    @property
    def _packages(self) -> tuple[str, ...]:
        return *PACKAGES, *self.more

    @property
    def _hooks(self) -> tuple[str, ...]:
        return *_settings(), *self.settings

    def _make(self, work: Path) -> Path:
        """Make the image in `work`, and return its path."""
        archive, made = work / "root.tar", work / "root.ext4"
        # apt tells the forms apart by the name.
        is_deb822 = self.sources.startswith("Types:")
        listed = work / ("debian.sources" if is_deb822 else "sources.list")
        listed.write_text(self.sources)
        bootstrap(self.suite, listed, self._packages, archive, excluded=EXCLUDED, hooks=self._hooks)
        tree = work / "root"
        tree.mkdir()
        # A user namespace cannot make device nodes; the kernel mounts its own /dev.  Files of
        # other users in the namespace have to be removed there as well.
        unpack = f'tar -xf {archive} -C {tree} --exclude "./dev/*" && "$@" && rm -rf {tree}/*'
        run.check(
            as_root_would(["sh", "-c", unpack, "sh", *ext4_command(tree, made, SIZE)]),
            where="the small Debian",
            env=_environment(work),
        )
        return made


def bootstrap(
    suite: str,
    sources: Path,
    packages: Sequence[str],
    archive: Path,
    *,
    excluded: Sequence[str],
    hooks: Sequence[str] = (),
) -> None:
    """Make a Debian with mmdebstrap.

    :param sources: a file in either form of sources.list(5).
    :param packages: what it has besides the packages that Debian marks essential.
    :param archive: the tar file to make, in a directory for other temporary files.
    :param excluded: patterns of files that dpkg leaves out, there too.
    :param hooks: shell lines that complete it; ``$1`` is its root.
    :raises Refusal: ``archive-unreachable``, ``command-failed``
    """
    options = ["force-unsafe-io", *(f"path-exclude={pattern}" for pattern in excluded)]
    command: list[str | Path] = [
        *(program("mmdebstrap"), "--quiet", "--variant=essential"),
        f"--include={','.join(packages)}",
        *(f"--dpkgopt={option}" for option in options),
        *(f"--customize-hook={line}" for line in hooks),
        *("--format=tar", suite, archive, sources),
    ]
    finished = run.run(command, env=_environment(archive.parent))
    if finished.status != 0:
        lines = finished.stderr.strip().splitlines()[-run.EVIDENCE_LINES :]
        fetching = any("Failed to fetch" in line or "apt-get update" in line for line in lines)
        kind = ARCHIVE_UNREACHABLE if fetching else COMMAND_FAILED
        found = f"it exited with status {finished.status}"
        raise Refusal(kind, "mmdebstrap", found, evidence=lines)


def _environment(work: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(work), "PATH": SEARCH_PATH}


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
