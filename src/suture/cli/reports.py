# SPDX-License-Identifier: GPL-2.0-or-later
"""The option ``--report``, and the reports that commands write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from suture.cli.commands import PATH, option
from suture.cli.option_parts import OptionPart
from suture.errors import Refusal
from suture.host.files import read_bytes

if TYPE_CHECKING:
    from suture.builder.artifact import Artifact
    from suture.kernel.release import Target
    from suture.lab.results import TestReport

report_option = option(
    "--report",
    metavar="OUT.html",
    type=PATH,
    help="Write a report for reviewers: one page that needs no network. OUT.md is for mails, "
    "OUT.json for programs.",
    panel=OptionPart.OUTPUT,
)


Make = Callable[["Target", Path | None, Path], "tuple[Artifact, ...]"]
"""Builds for one target: the file to write, the directory."""


Documented = Callable[["Artifact"], dict[str, object]]
"""Makes the document that ``--json`` prints of an artifact."""


class BuildReports:
    """The reports of one ``suture build``.

    :param path: the file of the report; None for no report.
    :param inputs: those that may be files; `name`: what a patch that is refused is called.
    :param is_one: there is one target.
    """

    def __init__(
        self, path: Path | None, inputs: Sequence[str], name: str, *, is_one: bool
    ) -> None:
        if path is not None:
            from suture.report import output

            output.form_of(path)
        self._path, self._inputs, self._name, self._is_one = path, inputs, name, is_one
        self._made: dict[tuple[str, str], dict[str, object]] = {}

    def with_reports(self, document: Documented) -> Documented:
        """Return a function that makes the document of an artifact as `document` does, and adds its
        report, if there is one."""

        def documented(artifact: Artifact) -> dict[str, object]:
            """Return the document of one artifact."""
            made = self._made.get((artifact.target.release, artifact.name))
            return document(artifact) | ({} if made is None else {"report": made})

        return documented

    def around(self, make: Make) -> Make:
        """Return a function that builds as `make` does, and writes the reports."""
        path = self._path
        if path is None:
            return make

        def reported(target: Target, file: Path | None, directory: Path) -> tuple[Artifact, ...]:
            """Build for one target, and report on what came of it."""
            parts = () if self._is_one else (target.release,)
            try:
                artifacts = make(target, file, directory)
            except Refusal as refusal:
                self._write_refusal(numbered(path, *parts), refusal, target)
                raise
            live = [artifact for artifact in artifacts if artifact.is_live_patch]
            for artifact in live:
                names = parts if len(live) == 1 else (*parts, artifact.name)
                self._write(numbered(path, *names), artifact)
            # What a build worked with is large, and the next one has its own.
            return tuple(replace(artifact, evidence=None) for artifact in artifacts)

        return reported

    def _write(self, path: Path, artifact: Artifact) -> None:
        from suture.report import document, gather, output, rows

        # As it is in its file: it may have been signed.
        data = read_bytes(artifact.path) if artifact.is_written else artifact.data
        files = rows.target_files(artifact.target)
        report = gather.of_artifact(replace(artifact, data=data), files)
        output.write(report, path)
        self._made[artifact.target.release, artifact.name] = document.plain(report)

    def _write_refusal(self, path: Path, refusal: Refusal, target: Target) -> None:
        from suture.report import gather, output

        called = self._name.rpartition("/")[2]
        output.write(gather.of_refusal(refusal, called, target, self._inputs), path)


def numbered(path: Path, *parts: str) -> Path:
    """Return the file for one of several reports: ``fix-6.1.0-50-amd64.html`` for ``fix.html``."""
    return path.with_name("-".join([path.stem, *parts]) + path.suffix)


def of_test(path: Path, module: Path, data: bytes, target: Target, tested: TestReport) -> None:
    """Add the result of a test to the report on a module; if the file is none, write one of what
    the module itself shows."""
    from suture.report import output
    from suture.report.verification import of_module

    known = output.read(path, hashlib.sha256(data).hexdigest())
    report = of_module(data, str(module), target) if known is None else known
    output.write(output.with_lab(report, tested), path)
