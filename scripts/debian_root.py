# SPDX-License-Identifier: GPL-2.0-or-later
"""Small Debian systems in which a script runs as root and leaves this host as it is.

mmdebstrap makes each once, from the archives of this host's apt; the cache keeps it.  For each run
it is unpacked, and removed afterwards.  A user other than root runs it in a user namespace.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from suture.host import files, paths, progress
from suture.host.packages import SEARCH_PATH
from suture.lab.debian import bootstrap
from suture.lab.disk import as_root_would, keep, scratch_parent
from suture.sources import debian_suites

SHARED = "/shared"
"""Where the script finds the directory that it shares with this host."""

LEFT_OUT = ("/usr/share/info/*", "/usr/share/locale/*", "/var/cache/apt/archives/*")

# Nothing but the system itself is removed: what was mounted for the script is in another mount
# namespace, and would be another file system.
OUTER = """\
tar -xf "$2" -C "$1" --exclude './dev/*' || exit
unshare --mount --propagation unchanged sh -c "$INNER" sh "$1" "$3" "$4"
status=$?
rm -rf --one-file-system "$1"
exit $status
"""
# Where this host is itself a chroot, '/' is no mount point that could be told to keep mounts from
# the outside; so they are taken back, and none of this host's is taken along (rslave).
INNER = f"""\
set -e
mount --make-rslave / 2>/dev/null || true
for directory in dev proc sys; do
    mount --rbind "/$directory" "$1/$directory"
    mount --make-rslave "$1/$directory"
done
mkdir -p "$1{SHARED}"
mount --bind "$2" "$1{SHARED}"
cp /etc/hosts /etc/resolv.conf "$1/etc/" 2>/dev/null || true
status=0
chroot "$1" /usr/bin/env -i HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    PATH={SEARCH_PATH} sh -ec "$3" || status=$?
for directory in dev proc sys .{SHARED}; do umount --recursive --lazy "$1/$directory"; done
exit $status
"""


@dataclass(frozen=True, slots=True)
class DebianRoot:
    """A system.

    :ivar suite: a suite of Debian's.
    :ivar packages: what it has besides the packages that Debian marks essential.
    """

    suite: str
    packages: tuple[str, ...]

    def run(self, script: str, shared: Path) -> subprocess.CompletedProcess[str]:
        """Run a script of sh(1), which ends at the first command that fails.

        :param shared: a directory that it finds as ``/shared``.
        :raises Refusal: ``archive-unreachable``, ``command-failed``, ``tool-missing``
        """
        archive = self.archive()
        with tempfile.TemporaryDirectory(prefix="suture-", dir=scratch_parent()) as work:
            os.chmod(work, 0o711)
            root = Path(work, "root")
            root.mkdir()
            command: list[str | Path] = ["sh", "-c", OUTER, "sh", root, archive, shared, script]
            return subprocess.run(
                as_root_would(command),
                env={**os.environ, "INNER": INNER, "PATH": SEARCH_PATH},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                check=False,
            )

    def archive(self) -> Path:
        """Return the system as a tar file, from the cache or made."""
        recipe = "\n".join((self.suite, *self.packages, *LEFT_OUT))
        name = f"{self.suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}.tar"
        final = paths.cache() / "packaging" / name
        with files.locked(final.with_suffix(".lock")):
            if not final.exists():
                with progress.step("Making a small Debian", self.suite):
                    self._make(final)
        return final

    def _make(self, final: Path) -> None:
        lists = debian_suites.lists(self.suite)
        lists.refreshed()
        with tempfile.TemporaryDirectory(prefix="suture-", dir=scratch_parent()) as work:
            # Without root rights, mmdebstrap runs as another user.
            os.chmod(work, 0o711)
            made = Path(work, "root.tar")
            sources = Path(shutil.copy(lists.directory / "debian.sources", work))
            bootstrap(self.suite, sources, self.packages, made, excluded=LEFT_OUT)
            keep(made, final)
