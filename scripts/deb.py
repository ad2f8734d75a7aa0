# SPDX-License-Identifier: GPL-2.0-or-later
"""Make Debian packages from the committed tree, in build/deb: ``suture``, which loads live patches,
and ``suture-build``, which builds and tests them.

    python scripts/deb.py [--no-lintian] [--into DIRECTORY]

1. The tree of HEAD is laid out, with ``packaging/debian`` as ``debian``.
2. What is not in it is made into ``debian/made``: the files that Suture would write into ``/etc``,
   completions, and the wheels that the build side needs, by the hashes of ``requirements.lock``.
3. debhelper makes the packages in a small Debian 13, and lintian looks at them.

All times are those of the commit: the same commit gives the same files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from packaging.requirements import Requirement

TOP = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP))

from scripts import wheels  # noqa: E402  (the path had to be set)
from scripts.debian_root import SHARED, DebianRoot  # noqa: E402
from scripts.debian_version import debian_version  # noqa: E402
from suture.errors import Refusal  # noqa: E402
from suture.host.distributions.debian import DebianHost  # noqa: E402
from suture.host.packages import TOOLS, Purpose  # noqa: E402

OUTPUT = TOP / "build" / "deb"

GIT = ("git", "-C", str(TOP), "-c", f"safe.directory={TOP}")
"""Root may make packages of a tree that is another user's."""

NOT_OURS = (".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis", ".coverage")
"""What a tree without git may have that is not of it."""

BUILDER = DebianRoot("trixie", ("debhelper", "dh-python", "lintian", "python3"))
"""The newest stable release: its debhelper puts files where that release wants them, which is right
for Debian 12 too."""

MAINTAINER = "Suture maintainers <maintainers@suture.invalid>"

EMBELLISHING = ("rich",)
"""Libraries that a host may leave out, and then has no colours: half the size of all."""

ESSENTIAL = ("dpkg", "util-linux")
"""Packages that Debian's policy (3.5) does not want named: every system has them."""

COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/suture",
    "zsh": "usr/share/zsh/vendor-completions/_suture",
    "fish": "usr/share/fish/vendor_completions.d/suture.fish",
}
"""Shell -> where it looks for completions that packages bring."""

BUILD = f"""
cp -r {SHARED}/tree /build
cd /build
dpkg-buildpackage -b -d -us -uc >/log 2>&1 || {{ cat /log; exit 1; }}
cp /*.deb {SHARED}/
"""
LINTIAN = f"""
lintian --allow-root --tag-display-limit 0 --fail-on error,warning {SHARED}/*.deb
"""


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit that packages are made from.

    :ivar time: seconds since 1970, of the committer.
    """

    id: str
    time: int


class PackagingFailed(Exception):
    """debhelper could not make the packages, or lintian found something wrong with them."""


def main(words: Sequence[str]) -> int:
    """Make the packages, and print their paths."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--into", type=Path, default=OUTPUT)
    parser.add_argument("--no-lintian", action="store_true")
    chosen = parser.parse_args(words)
    try:
        made = make(chosen.into, checked=not chosen.no_lintian)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except (PackagingFailed, wheels.DownloadFailed) as error:
        print(error, file=sys.stderr)
        return 1
    for path in made:
        print(path)
    return 0


def make(into: Path, *, checked: bool = True) -> list[Path]:
    """Make the packages of HEAD.

    :param checked: let lintian look at them.
    :raises PackagingFailed: with what debhelper or lintian said
    :raises DownloadFailed: with what pip said
    :raises Refusal: as `DebianRoot.run`
    """
    commit = head()
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="suture-deb-") as work:
        os.chmod(work, 0o777)  # the user namespace's root writes here
        tree = Path(work, "tree")
        export(commit, tree)
        lay_out(tree, commit, debian_version(own_version(tree)))
        done = BUILDER.run(BUILD + (LINTIAN if checked else ""), Path(work))
        if done.returncode:
            raise PackagingFailed(done.stdout)
        print(done.stdout, end="")
        return [Path(shutil.copy(path, into)) for path in sorted(Path(work).glob("*.deb"))]


def head() -> Commit:
    """Return the commit that is checked out.  A tree without git, such as an unpacked archive, has
    the time of its pyproject.toml, or ``SOURCE_DATE_EPOCH``."""
    if not (TOP / ".git").exists():
        made = int((TOP / "pyproject.toml").stat().st_mtime)
        return Commit("", int(os.environ.get("SOURCE_DATE_EPOCH", made)))
    found = git("log", "-1", "--format=%H %ct").split()
    return Commit(found[0], int(found[1]))


def git(*words: str) -> str:
    """Run git here, and return what it prints."""
    command = [*GIT, *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def export(commit: Commit, tree: Path) -> None:
    """Write a commit's files, and those of ``packaging/debian`` as ``debian``."""
    if commit.id:
        tree.mkdir()
        archive = subprocess.run([*GIT, "archive", commit.id], check=True, stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "-C", tree], check=True, input=archive.stdout)
    else:
        shutil.copytree(TOP, tree, symlinks=True, ignore=shutil.ignore_patterns(*NOT_OURS))
    shutil.copytree(tree / "packaging" / "debian", tree / "debian")


def own_version(tree: Path) -> str:
    """Return the version that a tree's Suture has."""
    text = (tree / "src/suture/__init__.py").read_text()
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("__version__"))


def lay_out(tree: Path, commit: Commit, version: str) -> None:
    """Write what debhelper needs and the tree does not have."""
    made, root = tree / "debian/made", tree / "debian/made/root"
    root.mkdir(parents=True)
    (tree / "debian/changelog").write_text(changelog(commit, version))
    (made / "substvars").write_text(substvars(tree / "pyproject.toml"))
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    files: list[str | Path] = [sys.executable, tree / "scripts/system_files.py", root]
    subprocess.run(files, env=environment, check=True)
    for shell, place in COMPLETIONS.items():
        path = root / place
        path.parent.mkdir(parents=True)
        path.write_text(completion(shell, environment))
    names = wheels.build_side()
    for minor in wheels.MINORS:
        directory = made / f"wheels-3.{minor}"
        found = wheels.download(names, minor, directory)
        wheels.unpack(found, root / "usr/lib/suture-build")
    (tree / "debian/suture-build.copyright").write_text(
        (tree / "debian/copyright").read_text()
        + f"\nIn /usr/lib/suture-build:\n{wheels.licences(found)}"
    )


def changelog(commit: Commit, version: str) -> str:
    """Return the one entry of debian/changelog."""
    date = format_datetime(datetime.fromtimestamp(commit.time, UTC))
    return (
        f"suture ({version}) unstable; urgency=medium\n\n"
        f"  * Made from {f'commit {commit.id}' if commit.id else 'a tree without git'}.\n\n"
        f" -- {MAINTAINER}  {date}\n"
    )


def substvars(project: Path) -> str:
    """Return the packages that both need, as deb-substvars(5)."""
    named = tomllib.loads(project.read_text())["project"]["dependencies"]
    needed = [Requirement(one) for one in named]
    bounds = {one.name: library_bounds(one) for one in needed}
    first, last = wheels.MINORS[0], wheels.MINORS[-1]
    variables = {
        "Libraries": [bounds[name] for name in bounds if name not in EMBELLISHING],
        "Embellishing": [bounds[name] for name in bounds if name in EMBELLISHING],
        "Building": packages(Purpose.BUILDING),
        "Testing": packages(Purpose.TESTING),
        "Pythons": [f"python3 (>= 3.{first})", f"python3 (<< 3.{last + 1})"],
    }
    return "".join(f"suture:{name}={', '.join(values)}\n" for name, values in variables.items())


def library_bounds(requirement: Requirement) -> str:
    """Return Debian's package of a Python package, from its least version on.

    Versions that pyproject.toml excludes are none of Debian's: its click 8.2.0+0.really.8.1.8 is
    8.1.8.
    """
    (least,) = (one.version for one in requirement.specifier if one.operator == ">=")
    return f"python3-{requirement.name} (>= {least})"


def packages(purpose: Purpose) -> list[str]:
    """Return the packages of a purpose's programs and headers."""
    host = DebianHost()
    tools = [tool for tool in (*TOOLS, *host.tools) if tool.purpose is purpose]
    return sorted({host.package(tool) for tool in tools} - {*ESSENTIAL})


def completion(shell: str, environment: dict[str, str]) -> str:
    """Return the script that completes the words of ``suture`` in a shell."""
    asked = {**environment, "_SUTURE_COMPLETE": f"{shell}_source"}
    command = [sys.executable, "-m", "suture"]
    return subprocess.run(command, env=asked, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
