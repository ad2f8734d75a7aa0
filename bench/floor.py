# SPDX-License-Identifier: GPL-2.0-or-later
"""The floor: what no build of a live patch can be faster than, the compiler itself, once for each
side."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.measure import Run, timed_run
from suture.formats import diff
from suture.workspace import applying, kbuild, objects, overlay
from suture.workspace.command import Compilation
from suture.workspace.original import originals
from suture.workspace.prepare import Workspace


def bare_compiler(workspace: Workspace, patch: Path) -> Run:
    """Run the saved command of the patched file, in the pristine tree and in a shadow with the
    patch."""
    changes = applying.apply(workspace.tree, diff.read([patch])).changes
    listed = objects.beside(workspace, [change.path for change in changes])
    wanted = [one for change in changes if (one := listed.of(change.path))]
    (stored,) = originals(workspace, wanted)
    with overlay.shadow(workspace.tree, {change.path: change.new for change in changes}) as patched:
        before = _compile(workspace, stored.compilation, workspace.tree)
        return before.then(_compile(workspace, stored.compilation, patched.root))


def _compile(workspace: Workspace, compilation: Compilation, top: Path) -> Run:
    with tempfile.TemporaryDirectory(prefix="suture-bench-") as scratch:
        compiler, *_ = compilation.redirected(f"{scratch}/object.o", f"{scratch}/dependencies")
        return timed_run(compiler, cwd=top, env=kbuild.build_environment(workspace.environment))
