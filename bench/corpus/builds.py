# SPDX-License-Identifier: GPL-2.0-or-later
"""Build each patch with the command line, in a process of its own that is given so much time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from bench.corpus import pick
from bench.corpus.kept import KEPT
from bench.corpus.record import KEEP_DATA, PATCH_DATA, Record, of_build, option_to_add
from suture.errors import Refusal
from suture.workspace import objects
from suture.workspace.affected import BATCH
from suture.workspace.original import originals
from suture.workspace.prepare import Workspace

WORKERS = 2
TIME_TO_END = 15.0


def compile_originals(workspace: Workspace, files: Sequence[str]) -> None:
    """All at once, since kbuild takes as long to start for one as for many; what fails is seen
    again alone."""
    built = objects.everything(workspace)
    listed = [one for file in files if (one := built.of(file))]
    for start in range(0, len(listed), BATCH):
        try:
            originals(workspace, listed[start : start + BATCH])
        except Refusal as refusal:
            print(f"originals: {refusal.where}: {refusal.found}", file=sys.stderr)


def build_all(
    workspace: Workspace, newer: Path, files: Sequence[str], out: Path, limit: float
) -> Iterator[Record]:
    """Build the difference of each of `files`, in whatever order they are done."""
    with ThreadPoolExecutor(WORKERS) as pool:
        jobs = [pool.submit(_build, workspace, newer, file, out, limit) for file in files]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _build(workspace: Workspace, newer: Path, file: str, out: Path, limit: float) -> Record:
    patch = out / f"{pick.name(file)}.patch"
    patch.write_bytes(pick.patch(workspace.tree, newer, file))
    module = patch.with_suffix(".ko")
    module.unlink(missing_ok=True)
    options = [
        "--kernel",
        workspace.target.release,
        "-o",
        str(module),
        "--name",
        module_name(file),
        "--json",
    ]
    started = time.monotonic()
    named: list[tuple[str, str]] = []
    while True:
        flags = [word for option in named for word in option]
        status, answer, errors = _run([str(patch), *options, *flags], limit)
        option = option_to_add(answer, KEPT.get(file, {}))
        if option is None or option in named:
            seconds = round(time.monotonic() - started, 2)
            return of_build(
                file,
                status,
                answer,
                errors,
                seconds,
                _named(named, PATCH_DATA),
                _named(named, KEEP_DATA),
            )
        named.append(option)


def _named(options: Sequence[tuple[str, str]], wanted: str) -> tuple[str, ...]:
    return tuple(name for option, name in options if option == wanted)


def _run(words: Sequence[str], limit: float) -> tuple[int | None, str, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "suture", "build", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        answer, errors = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return None, *_end(process)
    return process.returncode, answer, errors


def module_name(file: str) -> str:
    """Long names are cut at their start: their end tells more.  The kernel takes 55 bytes."""
    return f"fix_{pick.name(file)[-48:]}"


def _end(process: subprocess.Popen[str]) -> tuple[str, str]:
    process.terminate()
    try:
        return process.communicate(timeout=TIME_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()
