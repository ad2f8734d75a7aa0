# SPDX-License-Identifier: GPL-2.0-or-later
"""A report on a module that was not built here: what the module and the target show."""

from __future__ import annotations

import hashlib
import time

from suture import __version__
from suture.elf import reader
from suture.kernel import config
from suture.kernel.release import Target, names_kernel
from suture.model import RecordedFinding
from suture.module import notes, signature
from suture.report import rows
from suture.report.accounts import of_tables
from suture.report.content import (
    FORMAT,
    FileHash,
    FindingRow,
    Origin,
    PatchReport,
    ReportVerdict,
)
from suture.report.words import count
from suture.verify.debug_types import types_of_debug
from suture.verify.examination import Examination, PrototypeResult, examine
from suture.verify.kernel import Kernel

NAMED = "The module's tables name it."


@names_kernel
def of_module(data: bytes, where: str, target: Target) -> PatchReport:
    """Verify a live patch module, whichever tool built it.

    :param where: its name in messages.
    :raises Refusal: ``object-malformed``, ``not-a-live-patch`` and others where the file is no live
        patch module; what keeps one from fitting is in the report
    """
    started = time.monotonic()
    module = reader.read(data, where)
    kernel = Kernel(target)
    found = examine(module, where, kernel, types=types_of_debug(module, data))
    patch = found.inspection.patch
    digest = hashlib.sha256(data).hexdigest()
    return PatchReport(
        FORMAT,
        Origin.VERIFIED,
        patch.name,
        target.release,
        target.version,
        _verdict(found, patch.name, target.release),
        replace=patch.replace,
        fixes=patch.fixes,
        functions=tuple(of_tables(module, found.functions, kernel, NAMED)),
        checks=rows.checks(found, kernel),
        findings=tuple(map(_finding, patch.findings)),
        symbols=rows.symbols(found, kernel, kernel),
        callbacks=rows.callbacks(patch),
        shadow_variables=tuple(map(str, patch.shadow_variables)),
        stays=patch.stays,
        files=(FileHash("module", where, digest), *rows.target_files(target)),
        build_id=notes.build_id_of(module),
        signed=data.endswith(signature.MAGIC),
        size=len(data),
        compiler=config.read(target.config).compiler,
        suture=__version__,
        made=rows.now(),
        seconds=round(time.monotonic() - started, 1),
    )


def _verdict(found: Examination, name: str, release: str) -> ReportVerdict:
    problems = tuple(map(rows.problem, found.refusals))
    if problems:
        headline = f"{name} does not fit {release}: {count(len(problems), 'problem')}."
    else:
        headline = f"{name} fits {release}, as far as the module itself shows."
    not_shown = [rows.NOT_PROVED]
    unknown = [one for one in found.functions if one.prototype is PrototypeResult.UNKNOWN]
    if unknown:
        number = count(len(unknown), "replaced function")
        not_shown.append(f"The prototypes of {number}: the types of one of the two are not known.")
    not_shown.append(
        "That the change is safe while tasks run: what the new code meets in a running kernel."
    )
    return ReportVerdict(
        not problems, headline, tuple(rows.shown(found)), tuple(not_shown), problems
    )


def _finding(found: RecordedFinding) -> FindingRow:
    return FindingRow(found.level, found.code, found.name, "", found.found, because=found.because)
