# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages of the kernels that are here, small ones: the image, the modules that the lab's
guest needs, a changelog, and what Debian's own do when they are installed; and an archive of
packages that apt reads from a disk."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from suture.arch.x86_64.virtual_machine import VIRTUAL_MACHINE
from suture.kernel.release import Target
from suture.lab import module_tree
from suture.lab.machine import wire_modules
from suture.lab.system import DISK_MODULES

META = "linux-image-amd64"
"""The package that always depends on the newest kernel, so that upgrades bring it."""

CONTROL = """\
Package: {name}
Version: {version}
Architecture: amd64
Maintainer: Suture's tests <tests@suture.invalid>
Depends: {depends}
Description: for tests of kernel upgrades
"""

# What those of Debian do at this point, but for an initramfs.
POSTINST = """\
#!/bin/sh
set -e
[ "$1" = configure ] || exit 0
depmod {release}
linux-update-symlinks install {release} /boot/vmlinuz-{release}
{hooks}
"""

RUN_PARTS = """\
DEB_MAINT_PARAMS="$*" run-parts --report --exit-on-error --arg={release} \
--arg=/boot/vmlinuz-{release} /etc/kernel/postinst.d"""

RUN_HOOKS = 'linux-run-hooks image postinst {release} /boot/vmlinuz-{release} -- "$@"'

RUN_HOOKS_FROM = (6, 12)
"""The first series whose packages leave the hooks to linux-base."""


def of_kernel(target: Target, changelog: str, into: Path) -> list[Path]:
    """Make the package of a kernel, laid out as its own is, and `META` that depends on it."""
    release, version = target.release, target.version
    name = f"linux-image-{release}"
    root = into / name
    modules = f"usr/lib/modules/{release}"
    needed = (*wire_modules(VIRTUAL_MACHINE), *DISK_MODULES)
    files = {
        f"{modules}/kernel/{Path(path).name}": data
        for path, data in module_tree.build(target, needed).items()
        if path.endswith(".ko")
    }
    for listed in target.modules.glob("modules.*"):
        files[f"{modules}/{listed.name}"] = listed.read_bytes()
    news = gzip.compress(changelog.encode())
    if is_split := target.vmlinuz.parent.name != "boot":
        # Since 6.19, linux-base's own hook copies the image to /boot.
        files[f"{modules}/vmlinuz"] = target.vmlinuz.read_bytes()
        files[f"usr/share/doc/linux-base-{release}/changelog.Debian.gz"] = news
    else:
        files[f"boot/vmlinuz-{release}"] = target.vmlinuz.read_bytes()
        files[f"usr/share/doc/{name}/changelog.gz"] = news
    write(root, files)
    if is_split:
        (root / f"usr/share/doc/{name}").symlink_to(f"linux-base-{release}")
    series = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    hooks = RUN_HOOKS if series >= RUN_HOOKS_FROM else RUN_PARTS
    postinst = POSTINST.format(release=release, hooks=hooks.format(release=release))
    return [
        package(root, name, version, "kmod, linux-base", {"postinst": postinst}),
        package(into / META, META, version, f"{name} (= {version})"),
    ]


def package(
    root: Path, name: str, version: str, depends: str, scripts: dict[str, str] | None = None
) -> Path:
    """Make a package of a tree's files."""
    control = CONTROL.format(name=name, version=version, depends=depends)
    write(root, {"DEBIAN/control": control.encode()})
    for script, text in (scripts or {}).items():
        write(root, {f"DEBIAN/{script}": text.encode()})
        (root / "DEBIAN" / script).chmod(0o755)
    made = root.parent / f"{name}_{version}_amd64.deb"
    # Unpacking takes an emulated processor long.
    build: list[str | Path] = ["dpkg-deb", "-Znone", "--root-owner-group", "--build", root, made]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    return made


def index(packages: Iterable[Path]) -> str:
    """Return the list of an archive of these packages, which are all beside it."""
    return "\n".join(_entry(path) for path in packages)


def _entry(path: Path) -> str:
    fields = subprocess.run(
        ["dpkg-deb", "--field", path], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{fields}Filename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n"


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
