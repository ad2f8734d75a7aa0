# SPDX-License-Identifier: GPL-2.0-or-later
"""Wraps a published live patch as a Debian package, for hosts whose administrators bring software
to them with apt.

The package has the module's file, and its installation runs 'suture install', with all that checks.
It carries no trust of its own: apt believes whoever signs the archive that it is in, and a
withdrawal does not reach hosts that do not follow the repository.
"""

from __future__ import annotations

import os
import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path

from suture.host import files, run
from suture.host.files import cannot_write
from suture.repo import documents, publishing
from suture.repo.documents import PublishedPatch
from suture.repo.publishing import vouched_for
from suture.repo.tree import RepositoryTree

MODULES = "usr/lib/suture/livepatches"

CONTROL = """\
Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Section: kernel
Priority: optional
Depends: suture
Enhances: linux-image-{release}
Installed-Size: {size}
Description: live patch {name} for Linux {release}
{description}
"""

POSTINST = """\
#!/bin/sh
# Boots load the live patch from then on; 'suture load {name}' loads it now.
set -e
if [ "$1" = configure ]; then
    suture install{options} /{place}
fi
"""

PRERM = """\
#!/bin/sh
# What is in force stays until 'suture unload {name}' or the next boot.
set -e
if [ "$1" = remove ]; then
    suture uninstall {name} --kernel {release} || true
fi
"""


def wrap(
    tree: RepositoryTree,
    release: str,
    name: str,
    into: Path,
    maintainer: str,
    *,
    require_signature: bool = False,
) -> Path:
    """Make a package of a live patch, and return its file.

    The same live patch gives the same file.

    :param maintainer: as Debian's policy (5.6.2) has it: ``Name <address>``.
    :param require_signature: have the host require a signature, as 'suture install' can.
    :raises Refusal: ``repository-missing``, ``patch-not-published``, ``patch-withdrawn``,
        ``repository-damaged``, ``command-failed``, ``tool-missing``, ``disk-full``
    """
    state = tree.published()
    tree.check()
    signed = publishing.published_patches(state, release)
    patch = vouched_for(tree, signed, release, name)
    path = documents.patch_path(release, name)
    module = tree.read(path, patch.sha256)
    package = f"livepatch-{_package_word(name)}-{_package_word(release)}"
    published = datetime.fromisoformat(patch.published).astimezone(UTC)
    version = f"{published:%Y%m%d.%H%M%S}"
    final = into / f"{package}_{version}_{_architecture(release)}.deb"
    files.check_output(final, makes_parents=True)
    with files.temporary_directory() as work:
        root, made = work / "root", work / final.name
        place = f"{MODULES}/{release}/{name}.ko"
        _put(root / place, module)
        fields = {
            "package": package,
            "version": version,
            "architecture": _architecture(release),
            "maintainer": maintainer,
            "release": release,
            "name": name,
            "size": str(-(-len(module) // 1024)),
            "description": _description(patch),
            "place": place,
            "options": " --require-signature" if require_signature else "",
        }
        _put(root / "DEBIAN/control", CONTROL.format(**fields).encode())
        _put(root / "DEBIAN/postinst", POSTINST.format(**fields).encode(), 0o755)
        _put(root / "DEBIAN/prerm", PRERM.format(**fields).encode(), 0o755)
        for directory in (root, *(one for one in root.rglob("*") if one.is_dir())):
            directory.chmod(0o755)
        words = ("--root-owner-group", "-Zxz", "--build")
        epoch = str(int(published.timestamp()))
        run.check(
            ["dpkg-deb", *words, root, made],
            where=package,
            env={**os.environ, "SOURCE_DATE_EPOCH": epoch},
        )
        files.write_atomic(final, made.read_bytes())
    return final


def _put(path: Path, content: bytes, mode: int = 0o644) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
    except OSError as error:
        raise cannot_write(path, error) from error


def _description(patch: PublishedPatch) -> str:
    """Return the extended description, as Debian's policy (5.6.13) wants it: indented, and no empty
    lines."""
    about = [f"{len(patch.functions)} functions are replaced without a reboot:"]
    about += [f"- {fix}" for fix in patch.fixes] or ["- its module does not say what it fixes"]
    about.append(f"The module's SHA-256 is {patch.sha256}.")
    lines = [line for text in about for line in textwrap.wrap(text, 78) if line.strip()]
    return "\n".join(f" {''.join(filter(str.isprintable, line))}" for line in lines)


def _architecture(release: str) -> str:
    """Return Debian's name of an architecture, with which its kernels' releases end:
    ``6.1.0-50-cloud-amd64``."""
    word = release.rpartition("-")[2]
    return word if re.fullmatch(r"[a-z0-9]+", word) else "all"


def _package_word(text: str) -> str:
    """Return what of a name can stand in that of a package (policy 5.6.1)."""
    return re.sub(r"[^a-z0-9+.-]", "-", text.lower())
