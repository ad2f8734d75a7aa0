# SPDX-License-Identifier: GPL-2.0-or-later
"""``suture`` as a user's shell runs it, in a place where everything that it writes and leaves
behind can be seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suture.errors import INTERNAL_ERROR, Kind, Refusal
from suture.host.files import TEMPORARY
from suture.host.kernel_names import MANIFEST, OFFERED
from suture.host.paths import cache
from suture.host.terminal import printable
from suture.kernel.release import Target
from suture.sources.store import FORMAT, PARTS
from suture.workspace.overlay import Shadow
from suture.workspace.prepare import Workspace

SOURCE = Path(__file__).resolve().parents[1] / "src"

UNFINISHED = (
    "*/unfinished",
    f"*/{TEMPORARY}*",
    f"*/objects/*/{TEMPORARY}*",
    f"*/link/{TEMPORARY}*",
)
"""In the directory of all workspaces."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory to work in, a temporary directory, and a cache that shares kernels and workspaces
    with other runs.

    :ivar target: the kernel of the runs.
    :ivar directory: the working directory.
    :ivar temporary: ``TMPDIR``; also what the environment of every process of the runs has in it.
    :ivar base: ``XDG_CACHE_HOME``.
    """

    target: Target
    directory: Path
    temporary: Path
    base: Path

    @classmethod
    def make(cls, root: Path, target: Target) -> Place:
        place = cls(target, root / "work", root / "tmp", root / "xdg")
        for directory in (place.directory, place.temporary, place.cache / "link"):
            directory.mkdir(parents=True)
        for shared in ("kernels", "workspaces", "indexes", "suites", "toolchains"):
            (cache() / shared).mkdir(parents=True, exist_ok=True)
            (place.cache / shared).symlink_to(cache() / shared)
        return place

    def with_parts(self, **parts: Path) -> None:
        """Let these stand in the cache as what was fetched for the target, in place of its own."""
        kernel = self.own("kernels") / self.target.release / self.target.version
        kernel.mkdir(parents=True)
        paths = {name: parts.get(name, getattr(self.target, name)) for name in PARTS}
        sizes = {
            name: path.stat().st_size if path.is_file() else None for name, path in paths.items()
        }
        listed = {name: {"path": str(paths[name]), "size": sizes[name]} for name in PARTS}
        manifest = {
            "format": FORMAT,
            "release": self.target.release,
            "version": self.target.version,
            "parts": listed,
        }
        (kernel / MANIFEST).write_text(json.dumps(manifest))

    def with_workspace(
        self, workspace: Workspace, source: Mapping[str, bytes], options: str = ""
    ) -> Path:
        """Let the workspace have other contents of source files, or compile with further options;
        returns its tree."""
        ready = self.own("workspaces") / workspace.name / "ready"
        tree = ready / "tree"
        tree.mkdir(parents=True)
        Shadow(tree, workspace.tree, source)
        for name in ("includes", "includes-of-c"):
            (ready / name).symlink_to(workspace.tree.parent / name)
        environment = {**workspace.environment}
        environment["KBUILD_CFLAGS"] += f" {options}"
        (ready / "environment").write_text(json.dumps(environment))
        return tree

    def own(self, name: str) -> Path:
        """A part of the cache that is no longer shared."""
        (self.cache / name).unlink()
        (self.cache / name).mkdir()
        return self.cache / name

    @property
    def cache(self) -> Path:
        return self.base / "suture"

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "XDG_CACHE_HOME": str(self.base),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(SOURCE),
        }
        return {**os.environ, **ours}

    def patch(self, text: str | bytes, name: str = "my.patch") -> Path:
        path = self.directory / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def run(
        self, *words: str | Path, prefix: Sequence[str | Path] = ()
    ) -> subprocess.CompletedProcess[str]:
        """:param prefix: a program that runs the command line, such as ``setpriv``."""
        return subprocess.run(
            [*prefix, *command(*words)],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """The run as a process of which stderr can be read while it is under way."""
        return subprocess.Popen(
            [
                "env",
                "--default-signal",
                *command(*words),
            ],  # whoever runs the tests may have one ignored
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(self, *words: str | Path) -> tuple[str | Path, ...]:
        """The words of ``suture build`` for the target."""
        return ("build", *words, "--kernel", self.target.release)

    def refused(self, *words: str | Path, prefix: Sequence[str | Path] = ()) -> Refusal:
        """Run twice, for programs and for people, and check all that is true of every refusal."""
        before = self.contents()
        document, plain = self.run(*words, "--json", prefix=prefix), self.run(*words, prefix=prefix)
        assert (document.returncode, plain.returncode) == (1, 1), plain.stderr
        refusal = read(document.stdout)
        assert plain.stdout == ""
        # What programs say may hold names that are made anew for each run; all else is the same.
        first, *_, last = printable(str(refusal)).splitlines()
        assert first in plain.stderr
        assert plain.stderr.endswith(f"{last}\n")
        assert "Traceback" not in plain.stderr + document.stderr
        assert "error[" not in document.stderr
        assert refusal.code != INTERNAL_ERROR.code
        assert all((refusal.where, refusal.found, refusal.why, refusal.remedy))
        assert self.contents() == before, "something was written"
        return refusal

    def contents(self) -> dict[str, int]:
        """What a run may have written here, and when it was last changed; of a workspace only what
        is unfinished."""
        roots = (self.directory, self.temporary, self.cache)
        kept = self.cache / "workspaces"
        paths = [path for root in roots for path in root.rglob("*") if kept not in path.parents]
        if not kept.is_symlink():  # others may be at work there
            paths += [path for pattern in UNFINISHED for path in kept.glob(pattern)]
        return {
            str(path): 0 if path.is_dir() else path.lstat().st_mtime_ns
            for path in paths
            # The names that a survey found are for completion, whatever became of the command.
            if not path.name.endswith("lock") and path.name != OFFERED
        }


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "suture", *map(str, words)]


def read(stdout: str) -> Refusal:
    """The one document that a refused command prints with ``--json``."""
    document = json.loads(stdout)
    assert list(document) == ["error"]
    error = document["error"]
    return Refusal(
        Kind(error["code"], error["why"], error["remedy"]),
        error["where"],
        error["found"],
        evidence=error["evidence"],
    )
